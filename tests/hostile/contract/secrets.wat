  (import "runbook:secrets/secrets@0.1.0" (instance $secrets
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (export "secret" (type $secret (sub resource)))
    (export "get" (func (param "name" string) (result (result (own $secret) (error $error)))))
  ))
  (alias export $secrets "secret" (type $secret))
