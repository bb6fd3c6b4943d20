internal import KVMTrace
internal import KVMTypes

/// Whether a fault led to an operation on the table at all.
enum FaultOutcome: Hashable {
  /// An access flag fault: mkyoung, always.
  case mkyoung
  /// A map or a relaxation of rights was performed, or at least tried.
  case performed(Basis)
  /// Nothing was performed.
  case nothing(NoOperationReason)
}
