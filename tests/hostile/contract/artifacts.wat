  (import "runbook:state/artifacts@0.1.0" (instance $artifacts
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (export "keep" (func (param "name" string) (param "content" string) (result (result string (error $error)))))
  ))
