internal import KVMTypes

/// Which VMs' vCPUs those threads run of which the trace, at its end, has not told it.
///
/// One after the other is settled, those first of which only one VM is likely, else by number: a thread that is settled
/// tells something of its rivals, which are of other VMs. Only of those: what is likely for the others stays, so the time
/// grows with the threads and the pairs of rivals, not with the squares.
struct VCPUSettlement {
  /// An open thread.
  struct Thread {
    let index: ThreadIndex
    let tid: ThreadID
    /// What speaks against its VMs, with the rivals that are settled.
    var candidates: VCPUCandidates
  }

  /// By number.
  private var threads: [Thread]
  /// The places of threads in `threads`.
  private let places: [ThreadIndex: Int]
  private let rivals: [ThreadIndex: [PageRivalry.Rival]]
  private let creator: (VMIndex) -> ThreadID
  private let command: (ThreadID) -> String?
  private var isOpen: [Bool]
  /// Of which open threads only one VM is likely.
  private var isClear: [Bool]
  /// No thread before these places is open, or is open and clear.
  private var firstOpen = 0
  private var firstClear = 0

  /// - Parameters:
  ///   - threads: the open ones, with what speaks against their VMs apart from rivals.
  ///   - rivals: those of each thread.
  ///   - settled: the VM of a thread that is settled already.
  ///   - creator: the thread that created a VM.
  ///   - command: the name of a thread, where the trace has it.
  init(
    _ threads: [Thread], rivals: [ThreadIndex: [PageRivalry.Rival]], settled: (ThreadIndex) -> VMIndex?,
    creator: @escaping (VMIndex) -> ThreadID, command: @escaping (ThreadID) -> String?
  ) {
    var threads = threads.sorted { $0.tid < $1.tid }
    for place in threads.indices {
      for rival in rivals[threads[place].index] ?? [] {
        if let vm = settled(rival.thread) { threads[place].candidates.contradict(vm, by: rival.count) }
      }
    }
    self.threads = threads
    self.rivals = rivals
    self.creator = creator
    self.command = command
    places = Dictionary(uniqueKeysWithValues: threads.enumerated().map { ($0.element.index, $0.offset) })
    isOpen = Array(repeating: true, count: threads.count)
    isClear = []
    isClear = threads.indices.map { likely($0).count == 1 }
  }

  /// Settles one thread.
  ///
  /// - Returns: the thread and its VM, nil where none fits; nil where all threads are settled.
  mutating func next() -> (thread: ThreadIndex, vm: VMIndex?)? {
    guard let place = nextPlace() else { return nil }
    isOpen[place] = false
    let thread = threads[place].index
    // A VMM creates the threads of its vCPUs after itself.
    guard let vm = likely(place).max(by: { creator($0) < creator($1) }) else { return (thread, nil) }
    for rival in rivals[thread] ?? [] {
      guard let other = places[rival.thread], isOpen[other] else { continue }
      threads[other].candidates.contradict(vm, by: rival.count)
      isClear[other] = likely(other).count == 1
      if isClear[other] { firstClear = min(firstClear, other) }
    }
    return (thread, vm)
  }

  /// The first open thread that is clear, else the first one.
  private mutating func nextPlace() -> Int? {
    while firstClear < threads.count, !isOpen[firstClear] || !isClear[firstClear] { firstClear += 1 }
    if firstClear < threads.count { return firstClear }
    while firstOpen < threads.count, !isOpen[firstOpen] { firstOpen += 1 }
    return firstOpen < threads.count ? firstOpen : nil
  }

  private func likely(_ place: Int) -> [VMIndex] {
    threads[place].candidates.likely(threads[place].tid, creator: creator, command: command)
  }
}
