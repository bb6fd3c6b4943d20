internal import KVMTypes

/// Whether slots log of which a commit may be missing, as far as what comes behind the gap suggests. Nothing is certain by that.
struct LikelyLogging {
  private struct Key: Hashable {
    let vm: VMIndex
    let base: GFN
    let epoch: Epoch
  }

  private var found: [Key: Bool] = [:]

  /// Something suggests that a slot logs in an epoch, or does not.
  mutating func note(_ isLogging: Bool, slot base: GFN, of vm: VMIndex, in epoch: Epoch) {
    found[Key(vm: vm, base: base, epoch: epoch)] = isLogging
  }

  /// What was noted last, nil where nothing was.
  func logs(_ base: GFN, of vm: VMIndex, in epoch: Epoch) -> Bool? {
    found.isEmpty ? nil : found[Key(vm: vm, base: base, epoch: epoch)]
  }
}
