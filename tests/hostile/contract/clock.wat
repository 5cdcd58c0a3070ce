  (import "runbook:clock/clock@0.1.0" (instance $clock
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (export "now-ms" (func (result u64)))
    (export "sleep" (func (param "ms" u64) (result (result (error $error)))))
    (export "random" (func (result u64)))
  ))
