internal import KVMTrace
internal import KVMTypes

/// What the faults of each thread have mapped since anything may have been unmapped: what shows that pages are smaller than
/// assumed.
struct FaultHistory {
  /// A thread and a piece of guest memory.
  private struct Key: Hashable {
    var thread: ThreadID
    var piece: UInt64
  }

  /// A moment before which nothing counts: that of the last unmap, and the last beginning of the thread's table.
  private struct Moment: Hashable {
    var unmap: Int
    var beginning: Int
  }

  /// The granules of 4 KiB, of 64 KiB, that faulted.
  private struct Granules {
    var moment: Moment
    var mask: UInt16
  }

  /// What is known of a thread.
  private struct Thread {
    var open: GuestFault?
    var openedAt = 0
    var beginning = 0
    /// The lowest level at which a walk stopped: where its tables begin, or below.
    var lowest = TranslationLevel.l3
  }

  private var unmaps = 0
  private var threads: [ThreadID: Thread] = [:]
  private var granules: [Key: Granules] = [:]
  /// By page size and level-2 entry, when a fault filled it.
  private var filled: [PageSize: [Key: Moment]] = [:]

  private static let granuleShift: UInt64 = 12
  private static let frameShift: UInt64 = 16

  /// Anything may have been unmapped.
  mutating func forget() { unmaps += 1 }

  /// A thread took a fault.
  mutating func open(_ fault: GuestFault, by thread: ThreadID) {
    var state = threads[thread] ?? Thread()
    (state.open, state.openedAt) = (fault, unmaps)
    if fault.esr.faultKind == .translation, let level = fault.esr.level, level < .l3, level <= state.lowest {
      // A walk that stops where the table begins may be the first one of another VM.
      state.lowest = level
      state.beginning += 1
    }
    threads[thread] = state
  }

  /// The open fault was an access to a device.
  mutating func drop(_ thread: ThreadID) { threads[thread]?.open = nil }

  /// The thread goes on: its open fault, unless something was unmapped meanwhile.
  mutating func close(_ thread: ThreadID) -> GuestFault? {
    guard let state = threads[thread], let fault = state.open else { return nil }
    threads[thread]?.open = nil
    return state.openedAt == unmaps ? fault : nil
  }

  /// Whether a translation fault could not be, with pages of `size`: an earlier one of the thread has mapped its page, or
  /// filled the entry at which its walk stopped. A fault on the same 4 KiB may be a repetition.
  func isCrowded(_ fault: GuestFault, _ thread: ThreadID, _ size: PageSize) -> Bool {
    let address = fault.ipa.rawValue
    let now = moment(of: thread)
    let known = granules[Key(thread: thread, piece: address >> Self.frameShift)]
    let mask = known.map { $0.moment == now ? $0.mask : 0 } ?? 0
    let granule = (address >> Self.granuleShift) & 15
    if mask >> granule & 1 != 0 { return false }
    let count = size.bytes >> Self.granuleShift
    let page = UInt16(truncatingIfNeeded: (UInt64(1) << count) - 1) << (granule / count * count)
    if mask & page != 0 { return true }
    guard !fault.esr.isStage1Walk, let level = fault.esr.level, level < .l3 else { return false }
    return filled[size]?[Key(thread: thread, piece: address >> size.levelShift(.l2))] == now
  }

  /// A fault was handled.
  mutating func insert(_ fault: GuestFault, _ thread: ThreadID) {
    let address = fault.ipa.rawValue
    let now = moment(of: thread)
    let key = Key(thread: thread, piece: address >> Self.frameShift)
    var known = granules[key] ?? Granules(moment: now, mask: 0)
    if known.moment != now { known = Granules(moment: now, mask: 0) }
    known.mask |= 1 << UInt16((address >> Self.granuleShift) & 15)
    granules[key] = known
    for size in PageSize.allCases {
      filled[size, default: [:]][Key(thread: thread, piece: address >> size.levelShift(.l2))] = now
    }
  }

  private func moment(of thread: ThreadID) -> Moment {
    Moment(unmap: unmaps, beginning: threads[thread]?.beginning ?? 0)
  }
}
