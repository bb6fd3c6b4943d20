import KVMTypes

/// A buffer of a trace: the top one, or an instance (`/sys/kernel/tracing/instances/NAME`).
public struct TraceBuffer: Sendable {
  /// The instance's name, empty for the top buffer.
  public var name: String
  /// The clock of its time stamps.
  public var clock: String
  /// The kernel's numbers of its CPUs, ascending; gaps are allowed.
  public var cpus: [UInt32]

  /// A buffer.
  public init(name: String = "", clock: String = "local", cpus: [UInt32]) {
    precondition(zip(cpus, cpus.dropFirst()).allSatisfy { $0 < $1 }, "CPU numbers must ascend")
    self.name = name
    self.clock = clock
    self.cpus = cpus
  }

  /// Where among `cpus` one stands: mostly they are the first numbers that there are.
  package func position(of cpu: UInt32) -> Int? {
    if cpu < cpus.count, cpus[Int(cpu)] == cpu { return Int(cpu) }
    let position = cpus.partitioningIndex { $0 >= cpu }
    return position < cpus.count && cpus[position] == cpu ? position : nil
  }
}

/// Everything in a trace.dat file but the events: what the writer puts around the pages.
public struct TraceDescription: Sendable {
  /// The shape of the file.
  public var flavour: TraceFlavour
  /// The event formats; grouped by system in the file.
  public var formats: [EventFormat]
  /// Format texts of ftrace's own events.
  public var ftraceFormats: [String] = []
  /// `/proc/kallsyms`, or a part of it.
  public var kallsyms = ""
  /// The format strings of `trace_printk` and their addresses.
  public var printkFormats = ""
  /// Thread ids and the names of their commands.
  public var commandLines: [(pid: Int32, name: String)] = []
  /// Options, in the order of the file.
  public var options: [TraceOption] = []
  /// The buffers, one of which is the top one: in a v6 file the first.
  public var buffers: [TraceBuffer]
  /// When set, the text of `events/header_page` in place of the true one.
  public var headerPageOverride: String?
  /// The compression library's version as the file states it.
  public var compressionVersion: String?
  /// What each CPU's events in a v7 file begin at a multiple of: a page, which sub-buffers of 64 KiB would leave much room before that
  /// nobody compresses.
  var areaAlignment: Int {
    flavour.compression == .none ? flavour.pageBytes : min(flavour.pageBytes, 4096)
  }
  /// Whether a v7 file lists CPUs that have no data.
  public var listsEmptyCPUs = false
  /// Pages in one compressed chunk; trace-cmd takes ten.
  public var pagesPerChunk = 10
  /// By how much a v7 file is wrong about the size of each CPU's events, in bytes: trace-cmd before 3.2 leaves out the
  /// four of the number of chunks.
  public var areaSizeError: Int64 = 0

  /// A description with an empty set of options.
  public init(_ flavour: TraceFlavour, formats: [EventFormat] = KVMEventFormats.all, buffers: [TraceBuffer]) {
    precondition(
      buffers.first?.name == "" || flavour.version == .v7 && buffers.contains { $0.name.isEmpty },
      "the top buffer has no name, and is the first one of a v6 file")
    self.flavour = flavour
    self.formats = formats
    self.buffers = buffers
  }

  /// A description of one buffer with CPUs 0 up to `cpus`.
  public init(_ flavour: TraceFlavour, formats: [EventFormat] = KVMEventFormats.all, cpus: Int) {
    self.init(flavour, formats: formats, buffers: [TraceBuffer(cpus: (0..<cpus).map(UInt32.init))])
  }

  /// One more than the highest CPU number of any buffer.
  var cpuCount: UInt32 { buffers.compactMap(\.cpus.last).max().map { $0 + 1 } ?? 0 }

  /// The text of the clock option, nil without one.
  var clockText: String? {
    for case .clock(let text) in options { return text }
    return nil
  }

  /// `events/header_page`: how a sub-buffer begins.
  var headerPage: String {
    if let headerPageOverride { return headerPageOverride }
    let long = flavour.kernelLongBytes
    let data = flavour.pageHeaderBytes
    return """
      \tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
      \tfield: local_t commit;\toffset:8;\tsize:\(long);\tsigned:1;
      \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
      \tfield: char data;\toffset:\(data);\tsize:\(flavour.pageDataBytes);\tsigned:1;

      """
  }

  /// `events/header_event`: how a record begins.
  static let headerEvent = """
    # compressed entry header
    \ttype_len    :    5 bits
    \ttime_delta  :   27 bits
    \tarray       :   32 bits

    \tpadding     : type == 29
    \ttime_extend : type == 30
    \ttime_stamp : type == 31
    \tdata max type_len  == 28

    """

  /// The formats by system, without those of ftrace's own events, systems in the order of their first event.
  var systems: [(name: String, formats: [EventFormat])] {
    var order: [String] = []
    var groups: [String: [EventFormat]] = [:]
    for format in formats where format.system != MarkerFormat.system {
      if groups[format.system] == nil { order.append(format.system) }
      groups[format.system, default: []].append(format)
    }
    return order.map { ($0, groups[$0] ?? []) }
  }

  // MARK: The parts that both versions share

  func headers(_ out: inout TraceBytes) {
    out.cString("header_page")
    out.sized64(headerPage)
    out.cString("header_event")
    out.sized64(Self.headerEvent)
  }

  func ftraceEvents(_ out: inout TraceBytes) {
    let own = formats.filter { $0.system == MarkerFormat.system }
    out.u32(UInt32(ftraceFormats.count + own.count))
    for text in ftraceFormats { out.sized64(text) }
    for format in own { out.sized64(format.text(kernelLongBytes: flavour.kernelLongBytes)) }
  }

  func eventFormats(_ out: inout TraceBytes) {
    let systems = systems
    out.u32(UInt32(systems.count))
    for system in systems {
      out.cString(system.name)
      out.u32(UInt32(system.formats.count))
      for format in system.formats {
        out.sized64(format.text(kernelLongBytes: flavour.kernelLongBytes))
      }
    }
  }

  func savedCommandLines(_ out: inout TraceBytes) {
    out.sized64(commandLines.map { "\($0.pid) \($0.name)\n" }.joined())
  }

  /// Magic, version, byte order, size of long, page size.
  func fileStart(_ out: inout TraceBytes) {
    out.raw([0x17, 0x08, 0x44])
    out.text("tracing")
    out.cString("\(flavour.version.rawValue)")
    out.u8(flavour.byteOrder.rawValue)
    out.u8(UInt8(flavour.userLongBytes))
    out.u32(UInt32(flavour.pageBytes))
  }
}
