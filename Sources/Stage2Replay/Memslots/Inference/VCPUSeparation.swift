internal import KVMTrace
internal import KVMTypes

/// Which threads cannot run vCPUs of one VM, where nothing tells of slots: from where their walks stop.
///
/// All vCPUs of a VM walk one table, and a new VM begins with an empty one. So a thread is taken to be of another VM than
/// one that was given pages before it entered the guest,
///
/// - if its very first walk stops above such a page: there is nothing below that entry in its table;
/// - if it faults on the very pages again and again, with no unmap in between.
///
/// What takes pages away without an event, a slot that is deleted or moved and the reset of a VM, does so to all of its
/// vCPUs: then threads fault on what they were given themselves as often as on what others were.
struct VCPUSeparation {
  /// How many faults had ended, and how many unmaps had begun.
  private struct Moment: BitwiseCopyable {
    var faults: UInt64 = 0
    var unmaps: UInt64 = 0
  }

  /// A page that a thread was given, if it got on afterwards.
  private struct Page: BitwiseCopyable {
    let gfn: GFN
    let thread: ThreadIndex
    /// When the thread entered the guest before its fault, and at the end of that.
    let entry: Moment
    let end: Moment
  }

  private struct Thread {
    /// When it faulted first, nil while it has not.
    var firstFault: Nanoseconds?
    /// When it entered the guest last.
    var entry = Moment()
    /// The page of its last fault, which it was given if it gets on.
    var last: Page?
    /// The entry that was empty at its first fault, and how many faults had ended before it entered the guest.
    var empty: (level: TranslationLevel, gfn: GFN, faults: UInt64)?
  }

  /// Those of entries that lead to tables.
  private static let upperLevels: [TranslationLevel] = [TranslationLevel(-1), .l0, .l1, .l2]
  /// How many threads below how many entries are told apart; of those that come later nothing is known.
  private static let entriesMax = 1 << 18
  /// How many pairs of threads are told apart by the pages that both were given.
  private static let pairsMax = 1 << 16
  private static let pageBits = 16
  /// With how many VMs a thread is compared, those of the nearest numbers first.
  private static let guestsMax = 64

  /// By entry above the last level, and thread, how many faults had ended when the thread was given its first page below.
  private var entries: [FrameKey: UInt64] = [:]
  /// In a table of fixed size, in which one page takes the place of another. Empty before the first one.
  private var pages: [Page?] = []
  /// By two threads, of which one may be the other: how often one was given a page that the other had.
  private var givenTwice: [FrameKey: Int] = [:]
  /// By `ThreadIndex`.
  private var threads: ContiguousArray<Thread> = []
  /// The threads that faulted, in the order of their first faults.
  private var ranked: [ThreadIndex] = []
  private var now = Moment()
  private let pageSize: PageSize

  init(pageSize: PageSize) { self.pageSize = pageSize }

  // MARK: Events

  /// kvm_entry.
  @inline(__always)
  mutating func enter(_ thread: ThreadIndex) {
    makePlace(for: thread)
    threads[thread.position].entry = now
  }

  /// A fault.
  ///
  /// - Parameter stop: for a translation fault the level of the entry that is not valid; nil where that is not known.
  mutating func fault(_ gfn: GFN, _ stop: TranslationLevel?, _ thread: ThreadIndex, at time: Nanoseconds) {
    makePlace(for: thread)
    guard threads[thread.position].firstFault == nil else { return }
    threads[thread.position].firstFault = time
    ranked.append(thread)
    guard let stop, stop < .l3 else { return }
    threads[thread.position].empty = (stop, gfn, threads[thread.position].entry.faults)
  }

  /// A thread's translation fault on memory is over.
  mutating func end(_ gfn: GFN, _ thread: ThreadIndex) {
    now.faults += 1
    threads[thread.position].last = Page(
      gfn: gfn, thread: thread, entry: threads[thread.position].entry, end: now)
  }

  /// A thread faults again.
  ///
  /// - Parameter next: what that says about its fault before: a page that the thread goes on with it was given.
  mutating func settle(_ thread: ThreadIndex, _ next: NextAccess?) {
    makePlace(for: thread)
    guard let page = threads[thread.position].last else { return }
    threads[thread.position].last = nil
    if next == .progressed { give(page) }
    if next == .again { return }
    for level in Self.upperLevels {
      let key = key(level, page.gfn, thread)
      if entries.count < Self.entriesMax, entries[key] == nil { entries[key] = page.end.faults }
    }
  }

  private mutating func give(_ page: Page) {
    if pages.isEmpty { pages = Array(repeating: nil, count: 1 << Self.pageBits) }
    let thread = page.thread
    let place = Self.place(page.gfn)
    if let earlier = pages[place], earlier.gfn == page.gfn, earlier.entry.unmaps == page.end.unmaps,
      earlier.end.faults <= page.entry.faults
    {
      let other = earlier.thread
      let pair = Self.pair(min(thread, other), max(thread, other))
      if givenTwice.count < Self.pairsMax || givenTwice[pair] != nil { givenTwice[pair, default: 0] += 1 }
    }
    pages[place] = page
  }

  /// The host unmaps pages, or events are missing: whose pages they were, nobody says.
  mutating func takeAny() { now.unmaps += 1 }

  private mutating func makePlace(for thread: ThreadIndex) {
    while threads.count <= thread.position { threads.append(Thread()) }
  }

  /// Neighbouring frames go to neighbouring places.
  private static func place(_ gfn: GFN) -> Int {
    Int(truncatingIfNeeded: gfn.rawValue) & ((1 << pageBits) - 1)
  }

  private func key(_ level: TranslationLevel, _ gfn: GFN, _ thread: ThreadIndex) -> FrameKey {
    let entry = gfn.ipa(pageSize).rawValue >> pageSize.levelShift(level)
    let number = UInt64(UInt8(bitPattern: level.rawValue + 1))
    return FrameKey(number << 56 ^ entry << 24 ^ UInt64(thread.position))
  }

  private static func pair(_ one: ThreadIndex, _ other: ThreadIndex) -> FrameKey {
    FrameKey(UInt64(one.position) << 32 | UInt64(other.position))
  }

  // MARK: What follows

  /// When a thread faulted first.
  func firstFault(of thread: ThreadIndex) -> Nanoseconds? { threads[thread.position].firstFault }

  /// Whether two threads run vCPUs of different VMs. Where pages are taken away without an event, each of two vCPUs is given
  /// its own again as often as the other's, half of them each.
  private func areApart(_ one: ThreadIndex, _ other: ThreadIndex) -> Bool {
    if foundEmpty(one, wherePagesOf: other) || foundEmpty(other, wherePagesOf: one) { return true }
    return givenTwice(one, other) > 2 * (givenTwice(one, one) + givenTwice(other, other))
  }

  /// Whether the first walk of a thread stopped above pages that another one had been given.
  private func foundEmpty(_ thread: ThreadIndex, wherePagesOf other: ThreadIndex) -> Bool {
    guard let empty = threads[thread.position].empty else { return false }
    return entries[key(empty.level, empty.gfn, other)].map { $0 <= empty.faults } ?? false
  }

  private func givenTwice(_ one: ThreadIndex, _ other: ThreadIndex) -> Int {
    givenTwice[Self.pair(min(one, other), max(one, other))] ?? 0
  }

  /// The threads that faulted, as those of as few VMs as they can be of. Of several that a thread may belong to, it
  /// belongs to that with the nearest number: a VMM creates its vCPUs' threads one after another.
  ///
  /// - Parameter tid: a thread's number.
  func guests(_ tid: (ThreadIndex) -> ThreadID) -> [[ThreadIndex]] {
    var guests: [[ThreadIndex]] = []
    /// In the order of numbers.
    var placed: [(tid: ThreadID, guest: Int)] = []
    for thread in ranked {
      let number = tid(thread)
      let place = placed.partitioningIndex { $0.tid >= number }
      let guest =
        nearest(to: number, at: place, placed) { guest in
          !guests[guest].contains { areApart(thread, $0) }
        } ?? guests.count
      if guest == guests.count { guests.append([]) }
      guests[guest].append(thread)
      placed.insert((number, guest), at: place)
    }
    return guests
  }

  /// The VM of the nearest number, of those that fit.
  private func nearest(
    to tid: ThreadID, at place: Int, _ placed: [(tid: ThreadID, guest: Int)], where fits: (Int) -> Bool
  ) -> Int? {
    var (below, above) = (place - 1, place)
    var seen: Set<Int> = []
    while seen.count < Self.guestsMax, below >= 0 || above < placed.count {
      let isBelow =
        above == placed.count
        || below >= 0
          && tid.rawValue - placed[below].tid.rawValue <= placed[above].tid.rawValue - tid.rawValue
      let guest = placed[isBelow ? below : above].guest
      if isBelow { below -= 1 } else { above += 1 }
      if seen.insert(guest).inserted, fits(guest) { return guest }
    }
    return nil
  }
}
