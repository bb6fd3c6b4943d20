@testable import KVMTrace
import Testing
@testable import TraceSynth
import UnnamedFiles

/// The shapes that a perf.data has.
@Suite("perf.data")
struct PerfDataTests {
  typealias Place = PerfDataBuilder.Place
  typealias SampleType = PerfDataBuilder.SampleType

  /// Three samples on two CPUs, as two rings.
  static func small(_ builder: PerfDataBuilder = PerfDataBuilder()) -> PerfDataBuilder {
    var builder = builder
    builder.entry(Place(time: 1_000, cpu: 0, tid: 70), pc: 0xaa)
    builder.entry(Place(time: 3_000, cpu: 0, tid: 70), pc: 0xbb)
    builder.entry(Place(time: 2_000, cpu: 1, tid: 71), pc: 0xcc)
    builder.finishedRound()
    return builder
  }

  static let smallEvents = [
    PerfReading.Event(time: 1_000, cpu: 0, tid: 70, name: "kvm_entry", first: 0xaa),
    PerfReading.Event(time: 2_000, cpu: 1, tid: 71, name: "kvm_entry", first: 0xcc),
    PerfReading.Event(time: 3_000, cpu: 0, tid: 70, name: "kvm_entry", first: 0xbb),
  ]

  @Test(
    "a file and a pipe, in both byte orders, say the same", arguments: TraceFlavour.ByteOrder.allCases,
    [true, false])
  func shapes(order: TraceFlavour.ByteOrder, isPipe: Bool) throws {
    let builder = Self.small(PerfDataBuilder(byteOrder: order))
    let reading = try PerfReading(isPipe ? builder.pipe() : builder.file())
    #expect(reading.events == Self.smallEvents)
    #expect(reading.trace.uname == "Linux host 7.3.4 aarch64")
    #expect(reading.trace.hostPageBytes == 4096)
    #expect(reading.trace.cpuCount == 4)
    #expect(reading.trace.clock == "perf")
    #expect(reading.trace.compression == "none")
    #expect(reading.damage.isEmpty)
  }

  @Test(
    "attributes of every length are read", arguments: [64, 72, 80, 96, 104, 112, 120, 128, 136, 144, 200])
  func attributeLengths(bytes: Int) throws {
    let builder = Self.small(PerfDataBuilder(attributeBytes: bytes))
    #expect(try PerfReading(builder.file()).events == Self.smallEvents)
    #expect(try PerfReading(builder.pipe()).events == Self.smallEvents)
  }

  @Test("samples that were taken while a guest was loaded are read")
  func guestSamples() throws {
    var builder = PerfDataBuilder()
    // PERF_RECORD_MISC_GUEST_KERNEL and GUEST_USER.
    for misc in [4, 5] as [UInt16] { builder.entry(Place(time: UInt64(misc)), misc: misc) }
    #expect(try PerfReading(builder.file()).times == [4, 5])
  }

  @Test("what stands before the raw data is skipped, however long it is")
  func layouts() throws {
    var builder = PerfDataBuilder()
    builder.events[0].sampleType |=
      SampleType.read | SampleType.callchain | SampleType.address | SampleType.id | SampleType.streamID
    // A group, with both times, numbers and losses.
    builder.events[0].readFormat = 0b11111
    for count in 0..<3 {
      let counters = [UInt64(count), 1, 2] + [UInt64](repeating: 9, count: 3 * count)
      builder.entry(
        Place(time: UInt64(count), callers: [UInt64](repeating: 1, count: 5 * count), counters: counters),
        pc: UInt64(count))
    }
    let reading = try PerfReading(builder.file())
    #expect(reading.events.map(\.first) == [0, 1, 2])
    #expect(reading.damage.isEmpty)
  }

  @Test(
    "a single counter with its times and number is skipped",
    arguments: [0, 0b1, 0b11, 0b111, 0b10111] as [UInt64])
  func counters(readFormat: UInt64) throws {
    var builder = PerfDataBuilder()
    builder.events[0].sampleType |= SampleType.read
    builder.events[0].readFormat = readFormat
    builder.entry(
      Place(time: 1, counters: [UInt64](repeating: 3, count: 1 + readFormat.nonzeroBitCount)), pc: 0x77)
    #expect(try PerfReading(builder.file()).events.map(\.first) == [0x77])
  }

  @Test("samples of events that are no tracepoints are counted and passed over")
  func otherEvents() throws {
    var builder = PerfDataBuilder()
    builder.events.append(
      PerfDataBuilder.Event(
        type: 0, config: 0, name: "cycles",
        sampleType: SampleType.identifier | SampleType.ip | SampleType.time,
        ids: [21]))
    builder.entry(Place(time: 1))
    for time in [2, 3] as [UInt64] { builder.append(raw: builder.sample(Place(time: time), [], event: 1)) }
    builder.entry(Place(time: 4))
    let reading = try PerfReading(builder.file())
    #expect(reading.times == [1, 4])
    #expect(reading.damage.isEmpty)
    #expect(reading.trace.notes == ["2 samples of other events than tracepoints passed over"])
  }

  @Test("a tracepoint without the kernel's record is passed over among others that have it")
  func withoutRaw() throws {
    var builder = PerfDataBuilder()
    builder.events.append(
      PerfDataBuilder.Event(
        config: UInt64(KVMEventFormats.exit.id), name: "kvm:kvm_exit",
        sampleType: SampleType.tracepoint & ~SampleType.raw, ids: [21]))
    builder.entry(Place(time: 1))
    builder.append(raw: builder.sample(Place(time: 2), [], event: 1))
    builder.entry(Place(time: 3))
    let reading = try PerfReading(builder.file())
    #expect(reading.times == [1, 3])
    #expect(reading.losses.isEmpty)
    #expect(reading.damage.map(\.what).first?.hasPrefix("1 sample is of no event") == true)
  }

  @Test("streams are in the order of their CPUs")
  func order() throws {
    var builder = PerfDataBuilder()
    for cpu in [3, 0, 2] as [UInt32] { builder.entry(Place(time: 1, cpu: cpu)) }
    #expect(try PerfReading(builder.file()).streams.map { $0.map(\.cpu) } == [[0], [2], [3]])
  }

  @Test("the event that perf opens to be told of processes does not make samples look different")
  func dummy() throws {
    var builder = PerfDataBuilder()
    builder.events.append(
      PerfDataBuilder.Event(
        type: 1, config: 9, name: "dummy:u",
        sampleType: SampleType.identifier | SampleType.ip | SampleType.tid | SampleType.time | SampleType.cpu,
        ids: [31])
    )
    #expect(try PerfReading(Self.small(builder).file()).events == Self.smallEvents)
  }

  @Test("a single event needs no numbers")
  func withoutNumbers() throws {
    var builder = PerfDataBuilder()
    builder.events[0].sampleType &= ~SampleType.identifier
    builder.events[0].ids = []
    #expect(try PerfReading(Self.small(builder).file()).events == Self.smallEvents)
  }

  @Test(
    "the clock has the name of the kernel's trace clock",
    arguments: [1: "mono", 4: "mono_raw", 7: "boot", 11: "tai"])
  func clocks(id: Int32, name: String) throws {
    var builder = PerfDataBuilder()
    builder.events[0].clockID = id
    #expect(try PerfReading(Self.small(builder).file()).trace.clock == name)
  }

  @Test("threads have their last command, and that of their parent before they have one")
  func commands() throws {
    var builder = PerfDataBuilder(commandLines: "5 old\n6 sixth\n")
    builder.command("sh", tid: 5)
    builder.fork(8, of: 5)
    builder.command("vmm main", tid: 5)
    builder.fork(9, of: 5)
    builder.entry(Place(time: 1))
    let commands = try PerfReading(builder.file()).trace.commands
    #expect(commands == [5: "vmm main", 6: "sixth", 8: "sh", 9: "vmm main"])
  }

  @Test("traces of a processor are skipped by their size")
  func auxtrace() throws {
    var builder = PerfDataBuilder()
    builder.entry(Place(time: 1))
    builder.append(71) { out in for word in [24, 0, 0, 0, 0] as [UInt64] { out.u64(word) } }
    builder.append(raw: [UInt8](repeating: 9, count: 24))
    builder.entry(Place(time: 2))
    let reading = try PerfReading(builder.file())
    #expect(reading.times == [1, 2])
    #expect(reading.damage.isEmpty)
  }

  @Test(
    "compressed records are one stream, whatever they begin and end with", arguments: [true, false],
    [13, 64, 5_000])
  func compressed(isPadded: Bool, partBytes: Int) throws {
    var plain = PerfDataBuilder()
    for time in 0..<300 as Range<UInt64> {
      plain.entry(Place(time: time, cpu: UInt32(time % 2)), pc: time * time)
    }
    var builder = PerfDataBuilder()
    builder.command("vmm", tid: 7)
    builder.compress(plain.records, partBytes: partBytes, isPadded: isPadded)
    builder.finishedRound()
    for bytes in [builder.file(), builder.pipe()] {
      let reading = try PerfReading(bytes)
      #expect(reading.events.map(\.first) == (0..<300).map { $0 * $0 })
      #expect(reading.trace.compression == "zstd")
      #expect(reading.trace.commands[7] == "vmm")
      #expect(reading.damage.isEmpty)
    }
  }

  @Test("a record between the parts of a stream does not cut one that lies in both")
  func interleaved() throws {
    var plain = PerfDataBuilder()
    for time in 0..<4_000 as Range<UInt64> { plain.entry(Place(time: time), pc: time) }
    var builder = PerfDataBuilder()
    let stream = Compressor(.zstd).compress(plain.records)
    for begin in stride(from: 0, to: stream.count, by: 500) {
      builder.append(81) { $0.raw(stream[begin..<min(begin + 500, stream.count)]) }
      builder.command("vmm", tid: 7)
    }
    let reading = try PerfReading(builder.file())
    #expect(reading.events.map(\.first) == Array(0..<4_000))
    #expect(reading.damage.isEmpty)
    builder.compress(
      frame: Compressor(.zstd).compress(Array(plain.records.prefix(100))), partBytes: 500, isPadded: false)
    #expect(try PerfReading(builder.file()).damage.count == 1)
  }

  @Test("samples that an event described behind them makes unreadable are told")
  func lateDescription() throws {
    var builder = PerfDataBuilder()
    builder.events[0].sampleType &= ~SampleType.identifier
    for time in 0..<5 as Range<UInt64> { builder.entry(Place(time: time)) }
    let other = PerfDataBuilder.Event(
      config: 77, sampleType: SampleType.tracepoint | SampleType.address, ids: [21])
    let attribute = builder.attribute(other)
    builder.append(64) { out in
      out.raw(attribute)
      out.u64(21)
    }
    let reading = try PerfReading(builder.pipe())
    #expect(reading.events.isEmpty)
    #expect(reading.damage.map(\.what).first?.hasPrefix("5 samples are of no event") == true)
  }

  @Test("no more is decompressed than may be written to a temporary file")
  func spoolLimit() throws {
    var builder = PerfDataBuilder()
    builder.compress(Self.small().records, partBytes: 1_000, isPadded: true)
    let named = try UnnamedFile(builder.file())
    let error = #expect(throws: IngestError.self) { try TraceFile(path: named.path, spoolLimit: 100) }
    #expect(error?.kind == .inputOutput)
    #expect(error?.what.contains("is longer than 100 bytes") == true)
  }

  @Test("rings of threads that overlap on one CPU become streams that are in order each")
  func perThread() throws {
    var builder = PerfDataBuilder()
    // Two rings in each of two rounds; both threads run on CPU 3 and CPU 4.
    for round in 0..<2 as Range<UInt64> {
      for thread in 0..<2 as Range<UInt64> {
        for step in 0..<50 as Range<UInt64> {
          let time = round * 10_000_000 + step * 100_000 + thread * 50_000
          builder.entry(Place(time: time, cpu: 3 + UInt32(step / 10 + thread) % 2, tid: UInt32(thread)))
        }
      }
      builder.finishedRound()
    }
    let reading = try PerfReading(builder.file())
    #expect(reading.events.count == 200)
    #expect(reading.streams.count <= 4)
    for stream in reading.streams {
      #expect(stream.map(\.time) == stream.map(\.time).sorted())
      #expect(Set(stream.map(\.cpu)).count == 1)
    }
  }

  @Test("rings of hundreds of threads on one CPU are in order")
  func manyThreads() throws {
    var builder = PerfDataBuilder()
    for thread in 0..<300 as Range<UInt64> {
      for step in 0..<3 as Range<UInt64> {
        builder.entry(Place(time: thread * 20_000 + step * 1_000_000_000, tid: UInt32(thread)))
      }
    }
    let reading = try PerfReading(builder.file())
    #expect(reading.streams.count == 300)
    #expect(reading.events.count == 900)
    for stream in reading.streams { #expect(stream.map(\.time) == stream.map(\.time).sorted()) }
    #expect(reading.damage.isEmpty)
  }

  @Test("where there are as many streams as can be, what is in no order is told")
  func tooManyThreads() throws {
    var lanes = PerfLanes(isBackward: false)
    for step in 0..<(PerfLanes.lanesMax + 10) as Range<Int> {
      lanes.begin(
        cpu: 0, time: 1_000_000_000 - UInt64(step) * 20_000, at: (8 * step)..<(8 * step + 8),
        isBehindGap: false)
    }
    lanes.finish(sharesCPUs: false)
    #expect(lanes.lanes.count == PerfLanes.lanesMax)
    #expect(lanes.firstUnordered == 8 * PerfLanes.lanesMax)
    #expect(lanes.firstLeftOut == nil)
  }

  @Test("rings that were written from their end to their beginning are read from there")
  func backward() throws {
    var builder = PerfDataBuilder()
    // `write_backward`
    builder.events[0].flags |= 1 << 27
    // More than is read at once.
    let count: UInt64 = 3_000
    for cpu in 0..<2 as Range<UInt64> {
      for step in (0..<count).reversed() {
        builder.entry(Place(time: 1_000_000 + 100_000 * step + cpu, cpu: UInt32(cpu)), pc: step)
      }
    }
    let reading = try PerfReading(builder.file())
    #expect(reading.streams.count == 2)
    for stream in reading.streams { #expect(stream.map(\.first) == Array(0..<count)) }
  }

  @Test("samples that lack a CPU are in order all the same")
  func withoutCPU() throws {
    var builder = PerfDataBuilder()
    builder.events[0].sampleType &= ~SampleType.cpu
    for time in [1, 500_000, 900_000, 100_000, 600_000] as [UInt64] { builder.entry(Place(time: time)) }
    let reading = try PerfReading(builder.file())
    #expect(reading.times == [1, 100_000, 500_000, 600_000, 900_000])
    #expect(reading.streams.count == 2)
  }

  @Test("a stamp may be a little older than the one before it without a stream of its own")
  func jitter() throws {
    var builder = PerfDataBuilder()
    for time in [100_000, 99_000, 101_000] as [UInt64] { builder.entry(Place(time: time)) }
    let reading = try PerfReading(builder.file())
    #expect(reading.streams.map { $0.map(\.time) } == [[100_000, 99_000, 101_000]])
  }

  @Test("what has nothing to read is named, with the command that would make something useful")
  func refusals() throws {
    var cycles = PerfDataBuilder()
    cycles.events = [PerfDataBuilder.Event(type: 0, config: 0, name: "cycles:P", ids: [1])]
    cycles.finishedRound()
    var withoutRaw = PerfDataBuilder()
    withoutRaw.events[0].sampleType &= ~SampleType.raw
    withoutRaw.finishedRound()
    var withoutFormats = PerfDataBuilder()
    withoutFormats.formats = []
    withoutFormats.finishedRound()
    var unfinished = Self.small().file()
    unfinished.removeSubrange(unfinished.firstRange(of: Self.small().records)!.upperBound...)
    unfinished.patch([UInt8](repeating: 0, count: 8), at: 48)
    let refused: [([UInt8], String)] = [
      (cycles.file(), "is a perf.data without tracepoints: it has cycles:P"),
      (withoutRaw.file(), "is a perf.data whose samples lack what the kernel recorded, or the time (no -R)"),
      (withoutFormats.file(), "is a perf.data without the formats of its events (tracing_data)"),
      (
        unfinished, "is a perf.data that was not finished: perf writes the formats of its events when it ends"
      ),
    ]
    for (bytes, what) in refused {
      let error = #expect(throws: IngestError.self) { try PerfReading(bytes) }
      #expect(error?.what == what)
      #expect(error?.kind == .notATrace)
      #expect(error?.advice?.contains("perf record") == true)
    }
  }
}
