  (import "runbook:http/tcp@0.1.0" (instance $tcp
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (export "connect" (func (param "host" string) (param "port" u16) (param "timeout-ms" u64)
      (result (result u64 (error $error)))))
  ))
