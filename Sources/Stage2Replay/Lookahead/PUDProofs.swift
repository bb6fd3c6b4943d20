internal import KVMTypes

/// The stretches of PUD_SIZE in which faults have met a leaf of level 1, which shows how the host maps all of them.
///
/// Such a leaf says the same of every earlier fault around it. Those that wait are looked at when it is met, but not again as long
/// as no others came: DAMON lets one fault come after the other on it.
struct PUDProofs {
  /// By VM and stretch, whether faults came since that may have mapped it.
  private var stretches: [FrameKey: Bool] = [:]
  private let pageSize: PageSize

  init(pageSize: PageSize) { self.pageSize = pageSize }

  /// Whether no leaf was met.
  var isEmpty: Bool { stretches.isEmpty }

  /// Whether an earlier fault was on the memory of the leaf that a later one met. Of the same slot: the address of its memory
  /// in the VMM is the same.
  func isProven(_ earlier: FaultWindow, by later: FaultWindow) -> Bool {
    guard let slot = earlier.slot, let other = later.slot, earlier.end <= later.evidence.entry else {
      return false
    }
    return slot.base == other.base && slot.hva == other.hva && slot.pages == other.pages
      && earlier.page.alignedDown(to: pageSize.granule(.l1))
        == later.page.alignedDown(to: pageSize.granule(.l1))
  }

  /// Takes in a fault.
  ///
  /// - Returns: whether it met a leaf of level 1, and faults may wait for which that is new.
  mutating func note(_ fault: FaultWindow, of vm: VMIndex) -> Bool {
    guard fault.slot != nil else { return false }
    let key = FrameKey(UInt64(vm.position) << 40 | fault.page.rawValue >> pageSize.levelShift(.l1))
    let isLeaf = fault.kind == .permission || fault.kind == .accessFlag
    guard isLeaf, fault.walkLevel == .l1 else {
      if stretches[key] != nil { stretches[key] = true }
      return false
    }
    return stretches.updateValue(false, forKey: key) ?? true
  }
}
