import SeededRandom

/// Events in time order, turned into the pages of their CPUs. Counts them, and loses some on request.
///
/// A loss is what a full ring buffer does: the page in hand is closed, a run of events of that CPU is
/// never written, and the next page bears the mark.
struct EventStream {
  private struct CPU {
    var page: SubBufferPageBuilder
    var isOpen = false
    /// Events still to be lost, and lost since the last page.
    var losing = 0
    var lost = 0
  }

  /// What has been written.
  private(set) var summary = SynthesizerSummary()
  /// The time of the next event, in nanoseconds.
  private(set) var now: UInt64

  private let limit: Int
  private let writer: TraceDatWriter
  private let layouts: [EventLayout]
  private var cpus: [CPU]
  private var counts = [Int](repeating: 0, count: SyntheticEvent.allCases.count)
  /// After how many written events the next loss begins, and how many losses are still to come.
  private var nextLoss = Int.max
  private var lossesToCome: Int
  private var random: SplitMix64

  init(_ configuration: SynthesizerConfiguration, _ flavour: TraceFlavour, _ writer: TraceDatWriter) {
    self.writer = writer
    limit = configuration.events
    now = configuration.startNanoseconds
    layouts = SyntheticEvent.allCases.map {
      EventLayout($0.format, kernelLongBytes: flavour.kernelLongBytes)
    }
    let page = SubBufferPageBuilder(flavour, timestamp: 0)
    cpus = Array(repeating: CPU(page: page), count: configuration.cpus)
    lossesToCome = configuration.losses
    random = SplitMix64(seed: configuration.seed ^ 0x10_55e5)
    scheduleLoss()
  }

  /// Whether all the events asked for have been written.
  var isComplete: Bool { summary.events >= limit }

  /// Lets time pass.
  @inline(__always)
  mutating func wait(_ nanoseconds: Int) { now &+= UInt64(nanoseconds) }

  /// Emits an event; once the trace has its length this does nothing.
  @inline(__always)
  mutating func emit(
    _ event: SyntheticEvent, cpu: Int, pid: Int32, _ a: UInt64, _ b: UInt64 = 0, _ c: UInt64 = 0,
    _ d: UInt64 = 0
  ) throws(TraceWriteError) {
    var values = InlineArray<10, UInt64>(repeating: 0)
    values[0] = a
    values[1] = b
    values[2] = c
    values[3] = d
    try emit(event, cpu: cpu, pid: pid, values)
  }

  /// Emits an event with all its field values.
  mutating func emit(
    _ event: SyntheticEvent, cpu: Int, pid: Int32, _ values: InlineArray<10, UInt64>
  ) throws(TraceWriteError) {
    guard summary.events < limit else { return }
    now &+= 120 + (random.next() & 255)
    // The page behind a loss bears its mark: before there is one, the next loss cannot begin.
    if summary.events >= nextLoss, cpus[cpu].losing == 0, cpus[cpu].lost == 0 || cpus[cpu].isOpen {
      try close(cpu)
      // Events of the CPU have to follow, which has a part of all.
      let share = limit / (20 * max(1, lossesToCome) * cpus.count)
      cpus[cpu].losing = 1 + random.below(max(1, min(2000, share)))
      lossesToCome -= 1
      scheduleLoss()
    }
    if cpus[cpu].losing > 0 {
      cpus[cpu].losing -= 1
      cpus[cpu].lost += 1
      return
    }
    if !cpus[cpu].isOpen { open(cpu) }
    if !cpus[cpu].page.append(layouts[event.rawValue], pid: pid, at: now, values) {
      try close(cpu)
      open(cpu)
      let fits = cpus[cpu].page.append(layouts[event.rawValue], pid: pid, at: now, values)
      precondition(fits, "an event must fit into an empty page")
    }
    if summary.events == 0 { summary.firstNanoseconds = now }
    summary.lastNanoseconds = now
    summary.events += 1
    counts[event.rawValue] += 1
  }

  /// Closes the last pages.
  mutating func finish() throws(TraceWriteError) -> SynthesizerSummary {
    for cpu in cpus.indices { try close(cpu) }
    for event in SyntheticEvent.allCases where counts[event.rawValue] > 0 {
      summary.eventCounts[event.format.name] = counts[event.rawValue]
    }
    return summary
  }

  /// Losses spread over the middle of the trace, so that each is followed by events of its CPU.
  private mutating func scheduleLoss() {
    guard lossesToCome > 0 else {
      nextLoss = Int.max
      return
    }
    let end = limit / 10 * 9
    let start = max(summary.events, limit / 10)
    nextLoss = start + random.below(max(1, (end - start) / lossesToCome))
  }

  private mutating func open(_ cpu: Int) {
    cpus[cpu].page.reset(timestamp: now)
    cpus[cpu].isOpen = true
    if cpus[cpu].lost > 0 {
      // Newer kernels store the number, older ones only the mark: the trace has both.
      cpus[cpu].page.missed = summary.losses % 2 == 0 ? .counted(UInt64(cpus[cpu].lost)) : .unknown
      summary.losses += 1
    }
  }

  private mutating func close(_ cpu: Int) throws(TraceWriteError) {
    guard cpus[cpu].isOpen else { return }
    if case .counted(let lost) = cpus[cpu].page.missed, cpus[cpu].page.storesMissedCount {
      summary.countedLostEvents += Int(lost)
    }
    cpus[cpu].isOpen = false
    cpus[cpu].lost = 0
    try writer.append(cpus[cpu].page.finish(), cpu: UInt32(cpu))
  }
}
