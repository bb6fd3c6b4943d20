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
    /// How many faults are still to be settled before what follows is searched for a later proof once more.
    var untilSearch = 0

    /// What a fault found: nil where that is open.
    func foundNew(_ fault: FaultWindow) -> Bool? {
      if fault.end <= foundOld { return false }
      return fault.begin >= foundNew ? true : nil
    }
  }

  private var switches: [Switch] = []

  /// Takes in a switch.
  ///
  /// - Parameter oldest: the place of the oldest record that still waits. Faults that had ended before it are settled.
  mutating func insert(_ new: Switch, oldest: Sequence) {
    switches.removeAll { $0.commit < oldest }
    switches.append(new)
  }

  /// The place of the one switch that a fault had in reach; nil where that may be any of several.
  func position(of fault: FaultWindow, _ vm: VMIndex) -> Int? {
    guard let slot = fault.slot, !fault.evidence.isLoggingSwitchedAgain else { return nil }
    var found: Int?
    for (position, item) in switches.enumerated()
    where item.vm == vm && item.base == slot.base && fault.begin < item.commit && fault.end > item.since {
      guard found == nil else { return nil }
      found = position
    }
    return found
  }

  subscript(position: Int) -> Switch {
    get { switches[position] }
    set { switches[position] = newValue }
  }
}
