  (import "runbook:progress/progress@0.1.0" (instance $progress
    (export "report" (func (param "done" u32) (param "total" u32) (param "message" string)))
  ))
