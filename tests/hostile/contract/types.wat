  (import "runbook:types/types@0.1.0" (instance $types
    (type $kind (enum "invalid" "not-found" "already-exists" "conflict" "denied" "exhausted" "timed-out" "unavailable"
      "cancelled" "outcome-unknown" "internal"))
    (export "error-kind" (type $error-kind (eq $kind)))
    (type $error' (record (field "kind" $error-kind) (field "code" string) (field "message" string)
      (field "retry-after-ms" (option u64))))
    (export "error" (type $error (eq $error')))
  ))
  (alias export $types "error-kind" (type $error-kind))
  (alias export $types "error" (type $error))
