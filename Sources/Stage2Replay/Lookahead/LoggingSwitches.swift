internal import KVMTypes

/// When dirty logging of slots was switched, as far as the faults around each switch show it.
///
/// `kvm_swap_active_memslots` puts new flags in force at one moment. So every fault whose window had ended before that of one which
/// is proven to have found the old flags began found the old ones, too, and every fault that began after one which found the new
/// ones had ended found the new ones.
struct LoggingSwitches {
  /// A slot's logging was switched.
  struct Switch {
    let vm: VMIndex
    let base: GFN
    /// Whether it was switched on.
    let isOn: Bool
    /// The moment is after this place in the merged trace.
    let since: Sequence
    /// It is before the commit, which is here.
    let commit: Sequence
    /// Faults that had ended by then found the old flags.
    var foundOld = Sequence.start
    /// Faults that began then or later found the new ones.
    var foundNew = Sequence.pending
    /// Faults that had it in reach had ended by then, as far as they have ended.
    var lastEnd: Sequence
    /// How many faults are still to be settled before what follows is searched for a later proof once more.
    var untilSearch = 0

    init(vm: VMIndex, base: GFN, isOn: Bool, since: Sequence, commit: Sequence) {
      (self.vm, self.base, self.isOn, self.since, self.commit) = (vm, base, isOn, since, commit)
      lastEnd = commit
    }

    /// What a fault found: nil where that is open.
    func foundNew(_ fault: FaultWindow) -> Bool? {
      if fault.end <= foundOld { return false }
      return fault.begin >= foundNew ? true : nil
    }
  }

  /// By VM, in the order in which they came, which is that of `since` and of `commit`, too: a VM changes one slot at a time.
  private var switches: ContiguousArray<[Switch]> = []
  /// Those whose commit comes before are of no account any more.
  private var oldest = Sequence.start
  /// Of slots whose switches may be missing.
  var likely = LikelyLogging()

  /// Takes in a switch.
  ///
  /// - Parameter oldest: the place of the oldest record that still waits. Faults that had ended before it are settled.
  mutating func insert(_ new: Switch, oldest: Sequence) {
    self.oldest = oldest
    let vm = new.vm.position
    while switches.count <= vm { switches.append([]) }
    let gone = switches[vm].partitioningIndex { $0.commit >= oldest }
    // A VM may switch again and again: not for each switch are all others moved.
    if gone > switches[vm].count / 2 { switches[vm].removeFirst(gone) }
    switches[vm].append(new)
  }

  /// The place among those of the VM of the one switch that a fault had in reach; nil where that may be any of several.
  func position(of fault: FaultWindow, _ vm: VMIndex) -> Int? {
    guard let slot = fault.slot, !fault.evidence.isLoggingSwitchedAgain, !fault.evidence.mayLackCommit,
      vm.position < switches.count
    else { return nil }
    let own = switches[vm.position]
    var found: Int?
    let first = own.partitioningIndex { $0.commit >= oldest && $0.commit > fault.begin }
    for position in first..<own.count {
      if own[position].since >= fault.end { break }
      guard own[position].base == slot.base else { continue }
      guard found == nil else { return nil }
      found = position
    }
    return found
  }

  /// The window of a fault has ended.
  mutating func noteEnd(of fault: FaultWindow, _ vm: VMIndex) {
    guard let position = position(of: fault, vm) else { return }
    self[position, vm].lastEnd = max(self[position, vm].lastEnd, fault.end)
  }

  subscript(position: Int, vm: VMIndex) -> Switch {
    get { switches[vm.position][position] }
    set { switches[vm.position][position] = newValue }
  }
}
