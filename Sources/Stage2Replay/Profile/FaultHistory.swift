internal import KVMTrace
internal import KVMTypes

/// What the faults of each thread have mapped since anything may have been unmapped: what shows that pages are smaller than
/// assumed.
struct FaultHistory: ~Copyable {
  /// A moment before which nothing counts: that of the last unmap, and the last beginning of the thread's table.
  struct Moment: Hashable, BitwiseCopyable {
    var unmap: UInt32
    var beginning: UInt32
  }

  /// The granules of 4 KiB, of 64 KiB, that faulted.
  struct Granules: BitwiseCopyable {
    var moment: Moment
    var mask: UInt16
  }

  /// What is known of a thread.
  struct Thread: ~Copyable {
    var open: GuestFault?
    var openedAt: UInt32 = 0
    var beginning: UInt32 = 0
    /// The lowest level at which a walk stopped: where its tables begin, or below.
    var lowest = TranslationLevel.l3
    /// By frame of 64 KiB.
    var granules = FrameMap(filler: Granules(moment: Moment(unmap: 0, beginning: 0), mask: 0))
    /// By page size and level-2 entry, when a fault filled it.
    var filled = RecordStore<FrameMap<Moment>>()

    init() {
      for _ in PageSize.allCases { filled.append(FrameMap(filler: Moment(unmap: 0, beginning: 0))) }
    }
  }

  private var unmaps: UInt32 = 0
  private var table = ThreadTable()
  private var threads = RecordStore<Thread>()

  private static let granuleShift: UInt64 = 12
  private static let frameShift: UInt64 = 16

  /// Anything may have been unmapped.
  mutating func forget() { unmaps &+= 1 }

  /// A thread took a fault. Numbers that Linux cannot hand out are no threads.
  mutating func open(_ fault: GuestFault, by tid: ThreadID) {
    guard let thread = table[tid] ?? place(tid) else { return }
    threads[thread].open = fault
    threads[thread].openedAt = unmaps
    if fault.esr.faultKind == .translation, let level = fault.esr.level, level < .l3,
      level <= threads[thread].lowest
    {
      // A walk that stops where the table begins may be the first one of another VM.
      threads[thread].lowest = level
      threads[thread].beginning &+= 1
    }
  }

  private mutating func place(_ tid: ThreadID) -> Int? {
    guard table.insert(tid, position: threads.count) else { return nil }
    threads.append(Thread())
    return threads.count - 1
  }

  /// The open fault was an access to a device.
  mutating func drop(_ tid: ThreadID) { if let thread = table[tid] { threads[thread].open = nil } }

  /// The thread goes on: its open fault, unless something was unmapped meanwhile.
  mutating func close(_ tid: ThreadID) -> GuestFault? {
    guard let thread = table[tid], let fault = threads[thread].open else { return nil }
    threads[thread].open = nil
    return threads[thread].openedAt == unmaps ? fault : nil
  }

  /// Whether a translation fault could not be, with pages of `size`: an earlier one of the thread has mapped its page, or
  /// filled the entry at which its walk stopped. A fault on the same 4 KiB may be a repetition.
  func isCrowded(_ fault: GuestFault, _ tid: ThreadID, _ size: PageSize) -> Bool {
    guard let thread = table[tid] else { return false }
    let address = fault.ipa.rawValue
    let now = moment(of: thread)
    let known = threads[thread].granules[address >> Self.frameShift]
    let mask = known.map { $0.moment == now ? $0.mask : 0 } ?? 0
    let granule = (address >> Self.granuleShift) & 15
    if mask >> granule & 1 != 0 { return false }
    let count = size.bytes >> Self.granuleShift
    let page = UInt16(truncatingIfNeeded: (UInt64(1) << count) - 1) << (granule / count * count)
    if mask & page != 0 { return true }
    guard !fault.esr.isStage1Walk, let level = fault.esr.level, level < .l3 else { return false }
    return threads[thread].filled[size.position][address >> size.levelShift(.l2)] == now
  }

  /// A fault was handled, by a kernel whose pages have one of `sizes`.
  mutating func insert(_ fault: GuestFault, _ tid: ThreadID, _ sizes: [PageSize]) {
    guard let thread = table[tid] else { return }
    let address = fault.ipa.rawValue
    let now = moment(of: thread)
    let frame = address >> Self.frameShift
    var known = threads[thread].granules[frame] ?? Granules(moment: now, mask: 0)
    if known.moment != now { known = Granules(moment: now, mask: 0) }
    known.mask |= 1 << UInt16((address >> Self.granuleShift) & 15)
    _ = threads[thread].granules.updateValue(known, forKey: frame)
    for size in sizes {
      _ = threads[thread].filled[size.position].updateValue(now, forKey: address >> size.levelShift(.l2))
    }
  }

  private func moment(of thread: Int) -> Moment {
    Moment(unmap: unmaps, beginning: threads[thread].beginning)
  }
}

extension PageSize {
  /// The place among all sizes.
  var position: Int { Int(rawValue - PageSize.size4K.rawValue) / 2 }
}
