import ArgumentParser
import KVMTrace
import KVMTypes
import Reporting
import Stage2Replay

/// Which events of a trace a command is about.
struct EventChoiceOptions: ParsableArguments {
  @Option(
    name: .customLong("event"),
    help:
      "Only these events: NAME or SYSTEM:NAME, with * and ?, several with commas; can be given several times."
  )
  var names: [String] = []

  @Option(
    name: .customLong("where"),
    help: ArgumentHelp(
      "Only events whose fields fit, such as 'ipa >= 0x40000000 && esr.level == 2'.", valueName: "filter"))
  var condition: String?

  @Option(
    name: .customLong("vm"),
    help: """
      Only events about this VM, by its number in the report of a replay of the whole trace; can be given several times.
      """)
  var vms: [Int] = []

  @Option(help: "For --vm: the memslots, as for replay.")
  var memslots: MemslotsArgument?

  @Flag(help: "For --vm: infer the memslots, as for replay.")
  var inferMemslots = false

  @Option(name: .customLong("tid"), help: "Only events of this thread; can be given several times.")
  var threads: [Int32] = []

  @Option(name: .customLong("cpu"), help: "Only events of this CPU; can be given several times.")
  var cpus: [UInt16] = []

  @Option(
    help: ArgumentHelp(
      "Only events from this moment on, in seconds of the trace's clock (ticks of one that counts those), or +SECONDS since its first event, or the beginning of a part.",
      valueName: "seconds"))
  var from: TraceTime?

  @Option(
    help: ArgumentHelp(
      "Only events before this moment, in seconds of the trace's clock (ticks of one that counts those), or +SECONDS since its first event, or the beginning of a part.",
      valueName: "seconds"))
  var to: TraceTime?

  /// By what events are left out that a replay of the others would miss.
  var leavingOut: Set<SliceMarker.Choice> {
    var chosen: Set<SliceMarker.Choice> = []
    if !cpus.isEmpty { chosen.insert(.cpu) }
    if !threads.isEmpty { chosen.insert(.thread) }
    if condition != nil { chosen.insert(.filter) }
    return chosen
  }

  /// - Parameter needsVMs: whether the command asks for the VMs of events besides.
  func check(needsVMs: Bool) throws {
    try TraceTime.check(from: from, to: to)
    if vms.isEmpty, !needsVMs, condition == nil, memslots != nil || inferMemslots {
      throw ValidationError("--memslots and --infer-memslots go with --vm")
    }
    if memslots != nil, inferMemslots {
      throw ValidationError("--memslots and --infer-memslots exclude each other")
    }
  }
}

/// The chosen events of one trace, asked for one after the other.
struct ChosenEvents {
  private let options: EventChoiceOptions
  /// The numbers of the events that --event names, nil where it names none.
  let ids: Set<UInt16>?
  /// The time that was chosen.
  let part: TracePart
  private let filter: EventFilter?
  private let fields: EventPrinter
  private var attributor: VMAttributor?
  private let wantedVMs: Set<Int>
  /// Which VMs are left out besides; nil where none were chosen.
  private(set) var otherVMs: SliceMarker.OtherVMs?
  /// Whether the last event is known to be about other VMs than those that were chosen, or told of a VM that had no memory.
  private(set) var isOfOthers = false
  /// Events that are not known to be about any VM, all of the trace, and those that were chosen.
  private var (unattributed, all, matching) = (0, 0, 0)

  /// - Parameters:
  ///   - tellsVMs: whether the VMs of each event are wanted besides.
  ///   - leavesContext: whether of a part that was cut out of a recording what is carried along is no event to choose.
  init(
    _ options: EventChoiceOptions, of trace: TraceFile, input: String, tellsVMs: Bool = false,
    leavesContext: Bool = false
  ) throws {
    self.options = options
    let slice = trace.slice
    let choice = try TraceTime.choice(of: trace, slice, from: options.from, to: options.to)
    part = leavesContext ? choice.of(slice) : choice
    ids = try Self.chosenEvents(options.names, of: trace, input: input)
    filter = try Self.filter(options.condition, of: trace, ids: ids, input: input)
    fields = EventPrinter(.text, trace: trace, ids: ids)
    wantedVMs = Set(options.vms)
    if !options.vms.isEmpty || tellsVMs || filter?.asksForVM == true {
      let (timeline, pageSize) = try Self.timeline(
        of: trace, options, options.vms + (filter?.vms ?? []), input: input)
      if !wantedVMs.isEmpty { otherVMs = timeline.others(than: wantedVMs, in: part) }
      attributor = VMAttributor(timeline, pageSize: pageSize)
    }
  }

  /// The VMs that the next event of the trace is about, as far as that was asked for; nil where it is not chosen.
  mutating func take(_ record: TraceRecord, _ payload: UnsafeRawBufferPointer) -> [Int]? {
    if record.kind != .lost { all += 1 }
    let about = attributor?.vms(of: record) ?? []
    isOfOthers =
      !wantedVMs.isEmpty && wantedVMs.isDisjoint(with: about)
      && (!about.isEmpty || SliceContext.isContext(record.kind))
    if !options.cpus.isEmpty, !options.cpus.contains(record.cpu.rawValue) { return nil }
    if !isInTime(record) { return nil }
    if record.kind == .lost { return about }
    if let ids, !ids.contains(record.formatID) { return nil }
    if !options.threads.isEmpty, !options.threads.contains(record.tid.rawValue) { return nil }
    if let filter, !fields.accepts(filter, record, payload, vms: about) { return nil }
    if !wantedVMs.isEmpty, wantedVMs.isDisjoint(with: about) {
      if about.isEmpty { unattributed += 1 }
      return nil
    }
    matching += 1
    return about
  }

  /// Whether a loss is of a CPU whose events were chosen.
  func concerns(_ loss: TraceRecord) -> Bool {
    options.cpus.isEmpty || options.cpus.contains(loss.cpu.rawValue)
  }

  /// Whether an event lies in the chosen time.
  func isInTime(_ record: TraceRecord) -> Bool {
    record.time >= part.from ?? Nanoseconds(0) && part.to.map { record.time < $0 } ?? true
  }

  /// Refuses times that lie outside of the trace.
  func checkTimes(in statistics: EventStatistics, of trace: TraceFile) throws {
    try TraceTime.check(part, in: statistics, of: trace)
  }

  /// Says on standard error what the output lacks though the trace has it.
  func noteOmissions(of trace: TraceFile, input: String) {
    if matching == 0, all > 0 { Diagnostics.note("\(input): 0 of \(all) event\(all == 1 ? "" : "s") match") }
    if unattributed > 0 {
      Diagnostics.note(
        "\(input): \(unattributed) event\(unattributed == 1 ? " is" : "s are") not known to be about any VM, and left out"
      )
    }
    let unreadable = trace.untoldUnreadableEvents
    if !unreadable.isEmpty {
      Diagnostics.note(
        "\(input): the formats of \(unreadable.joined(separator: ", ")) cannot be read: their events have no fields"
      )
    }
  }

  private static func chosenEvents(
    _ names: [String], of trace: TraceFile, input: String
  ) throws -> Set<UInt16>? {
    guard !names.isEmpty else { return nil }
    do {
      return try EventChoice(names, among: trace.formats.formats).ids
    } catch {
      Diagnostics.error("\(input): \(error.message)")
      throw ExitCode.validationFailure
    }
  }

  private static func filter(
    _ condition: String?, of trace: TraceFile, ids: Set<UInt16>?, input: String
  ) throws -> EventFilter? {
    guard let condition else { return nil }
    do {
      return try EventFilter(condition, of: trace, ids: ids)
    } catch {
      Diagnostics.error("\(input): \(error.message)")
      throw ExitCode.validationFailure
    }
  }

  /// What a replay of the whole trace finds out about the VMs behind its events.
  private static func timeline(
    of trace: TraceFile, _ choice: EventChoiceOptions, _ vms: [Int], input: String
  ) throws -> (VMTimeline, PageSize) {
    var options = ReplayOptions()
    options.memslots = try choice.memslots?.resolve(for: trace, nil)
    options.infersMemslots = choice.inferMemslots
    options.recordsTimeline = true
    let (result, _) = try Replays.run(trace, profile: ProfileRequest(), options: options)
    try result.requireVMs(vms, of: input)
    return (result.timeline ?? VMTimeline(), result.profile.pageSize)
  }
}
