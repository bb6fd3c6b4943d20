import SeededRandom

@testable import TraceSynth

/// A recording of a few megabytes, in a shape in which a reader could be tempted to go through it again and again.
struct LargeRecording {
  enum Shape: String, CaseIterable {
    case v6OfManyCPUs
    case v6OfManySubBuffers
    case v7OfManyCPUs
    case v7Zstd
    case perfOfManyRounds
    case perfCompressed
    case perfettoOfSmallPackets
    case perfettoCompressed
    case text
    case textGzip

    /// How often every byte may be read, of the file and of what is decompressed to another. Opening a trace.dat reads but its head;
    /// what holds its events in the order in which they came is looked through once to find out where they are, or of what kinds.
    /// Compressed packets are looked through while they are decompressed.
    var passes: Double {
      switch self {
      case .v6OfManyCPUs, .v6OfManySubBuffers, .v7OfManyCPUs, .v7Zstd, .perfettoCompressed: 1.1
      case .perfOfManyRounds, .perfCompressed, .perfettoOfSmallPackets, .text, .textGzip: 2.1
      }
    }

    /// A recording that grows with `times`, by events of the same CPUs.
    func recording(times: Int) throws -> LargeRecording {
      switch self {
      case .v6OfManyCPUs:
        try .traceDat(TraceFlavour(version: .v6, pageBytes: 4096), cpus: 64, pages: 8 * times)
      case .v6OfManySubBuffers:
        try .traceDat(TraceFlavour(version: .v6, pageBytes: 512), cpus: 2, pages: 2048 * times)
      case .v7OfManyCPUs: try .traceDat(TraceFlavour(pageBytes: 4096), cpus: 64, pages: 8 * times)
      case .v7Zstd:
        try .traceDat(TraceFlavour(pageBytes: 4096, compression: .zstd), cpus: 64, pages: 16 * times)
      case .perfOfManyRounds: .perf(rounds: 128 * times, isCompressed: false)
      case .perfCompressed: .perf(rounds: 128 * times, isCompressed: true)
      case .perfettoOfSmallPackets: .perfetto(packets: 32_768 * times, isCompressed: false)
      case .perfettoCompressed: .perfetto(packets: 32_768 * times, isCompressed: true)
      case .text: .text(lines: 32_768 * times, isCompressed: false)
      case .textGzip: .text(lines: 32_768 * times, isCompressed: true)
      }
    }
  }

  var bytes: [UInt8]
  /// How many bytes are made of what is compressed in it, 0 where nothing is.
  var inflatedBytes = 0
  var events: UInt64
}

extension LargeRecording {
  private static let cpus = 64
  private static let begin: UInt64 = 1_000_000_000

  /// Pages of each CPU, full of events, that alternate with those of the others.
  private static func traceDat(_ flavour: TraceFlavour, cpus: Int, pages: Int) throws -> LargeRecording {
    var random = SplitMix64(seed: 1)
    var events: UInt64 = 0
    let areas = (0..<cpus).map { cpu in
      (0..<pages).map { number in
        let time = begin + UInt64((number * cpus + cpu) * 100_000)
        return TraceBuilding.page(flavour, at: time) { page in
          var place: UInt64 = 0
          while page.append(TraceBuilding.entry(pc: random.next(), flavour), at: time + place) { place += 1 }
          events += place
        }
      }
    }
    return LargeRecording(bytes: try TraceBuilding.file(flavour, pages: areas), events: events)
  }

  /// Rounds in which the ring of each CPU has a few samples.
  private static func perf(rounds: Int, isCompressed: Bool) -> LargeRecording {
    var random = SplitMix64(seed: 2)
    var builder = PerfDataBuilder()
    var events: UInt64 = 0
    for _ in 0..<rounds {
      for cpu in 0..<cpus {
        for sample in 0..<4 {
          let time = begin + UInt64(rounds * 1_000_000) + events * 10 + UInt64(sample)
          builder.entry(PerfDataBuilder.Place(time: time, cpu: UInt32(cpu)), pc: random.next())
          events += 1
        }
      }
      builder.finishedRound()
    }
    guard isCompressed else { return LargeRecording(bytes: builder.file(), events: events) }
    var compressed = PerfDataBuilder()
    compressed.compress(builder.records, partBytes: 32 << 10, isPadded: true)
    return LargeRecording(bytes: compressed.file(), inflatedBytes: builder.records.count, events: events)
  }

  /// Packets of two events each, of one CPU after another.
  private static func perfetto(packets: Int, isCompressed: Bool) -> LargeRecording {
    var random = SplitMix64(seed: 3)
    var (result, group) = (LargeRecording(bytes: [], events: 0), [UInt8]())
    for number in 0..<packets {
      let time = begin + UInt64(number * 10)
      let bundle = PerfettoParts.bundle(
        cpu: number % cpus, [0, 1].map { PerfettoParts.entry(time + $0, pc: random.next()) })
      group += ProtoMessage().adding(1, PerfettoParts.packet(bundle, isFirst: number == 0)).bytes
      guard number % 512 == 511 else { continue }
      if isCompressed {
        let packet = ProtoMessage().adding(50, Compressor(.zlib).compress(group))
        result.bytes += ProtoMessage().adding(1, packet).bytes
        result.inflatedBytes += group.count
      } else {
        result.bytes += group
      }
      group = []
    }
    result.events = UInt64(packets * 2)
    return result
  }

  /// Lines of `trace_pipe`, of one CPU after another.
  private static func text(lines: Int, isCompressed: Bool) -> LargeRecording {
    var random = SplitMix64(seed: 4)
    var text: [UInt8] = []
    for number in 0..<lines {
      let (micros, cpu) = (String(1_000_000 + number).dropFirst(), number % cpus)
      let column = (cpu < 10 ? "00" : "0") + String(cpu)
      let pc = String(random.next(), radix: 16)
      text += "  CPU \(cpu)/KVM-\(1000 + cpu) [\(column)] d..1.  1.\(micros): kvm_entry: PC: 0x\(pc)\n".utf8
    }
    let events = UInt64(lines)
    guard isCompressed else { return LargeRecording(bytes: text, events: events) }
    return LargeRecording(bytes: gzip(text), inflatedBytes: text.count, events: events)
  }

  /// What `gzip` makes of `bytes`: a zlib stream between other ends.
  private static func gzip(_ bytes: [UInt8]) -> [UInt8] {
    var sum = UInt32.max
    for byte in bytes {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 0 ? 0 : 0xedb8_8320) }
    }
    var end = TraceBytes(.little)
    end.u32(~sum)
    end.u32(UInt32(bytes.count))
    let stream = Compressor(.zlib).compress(bytes).dropFirst(2).dropLast(4)
    return [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3] + stream + end.bytes
  }
}
