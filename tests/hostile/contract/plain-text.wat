  (import "runbook:secrets/plain-text@0.1.0" (instance $plain-text
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (alias outer 1 $secret (type $secret'))
    (export "secret" (type $secret (eq $secret')))
    (export "reveal" (func (param "secret" (borrow $secret)) (result (result string (error $error)))))
  ))
