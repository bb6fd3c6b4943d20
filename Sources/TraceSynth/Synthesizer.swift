import KVMTypes
import SeededRandom

/// Makes up what an arm64 host with a few guests records: vCPUs that run, fault, trap and migrate, and
/// a host that ages and reclaims their memory.
///
/// Nothing in the trace contradicts itself. Each guest has a small stage 2 of its own (`GuestStage2`),
/// every fault is one that this stage 2 would raise, with the level and the syndrome it would have, and
/// every notifier takes effect on it. A correct replay therefore finds no divergence. What happens is
/// serialised: two vCPUs never fault at the same moment.
///
/// The same configuration gives the same bytes on every machine.
public struct Synthesizer {
  /// What is being made.
  public let configuration: SynthesizerConfiguration

  var random: SplitMix64
  var stream: EventStream
  var guests: [Guest]
  var vcpus: [VirtualCPU]
  /// Which vCPU is in the guest on each CPU.
  var running: [Int?]

  /// A synthesizer that writes into `writer`, whose description must come from the configuration.
  public init(_ configuration: SynthesizerConfiguration, into writer: TraceDatWriter) {
    precondition(configuration.problem == nil, configuration.problem ?? "")
    self.configuration = configuration
    random = SplitMix64(seed: configuration.seed)
    stream = EventStream(configuration, writer.description.flavour, writer)
    guests = []
    for index in 0..<configuration.vms { guests.append(Guest(index, configuration, &random)) }
    let pages = guests[0].pages
    vcpus = (0..<configuration.vms * configuration.vcpus).map { index in
      VirtualCPU(
        guest: index / configuration.vcpus,
        pid: HostThread.vcpu(index / configuration.vcpus, index % configuration.vcpus),
        cpu: index % configuration.cpus,
        cursor: index % configuration.vcpus * pages / configuration.vcpus)
    }
    running = Array(repeating: nil, count: configuration.cpus)
  }

  /// Writes all events.
  public consuming func run() throws(TraceWriteError) -> SynthesizerSummary {
    for guest in guests.indices { try commitSlot(guest) }
    while !stream.isComplete {
      let draw = random.below(1_000_000)
      // Now and then everything is idle for longer than a time delta can say.
      if draw < 5 { stream.wait(250_000_000) }
      if draw % 1000 < configuration.notifierPermille {
        try hostStep()
      } else {
        try vcpuStep(random.below(vcpus.count))
      }
    }
    return try stream.finish()
  }

  /// Writes a whole synthetic trace to `output`.
  public static func write(
    _ configuration: SynthesizerConfiguration, _ flavour: TraceFlavour, to output: OutputFile,
    spillDirectory: String = "/tmp"
  ) throws(TraceWriteError) -> SynthesizerSummary {
    let writer = TraceDatWriter(configuration.description(flavour), spillDirectory: spillDirectory)
    let summary = try Synthesizer(configuration, into: writer).run()
    try writer.finish(to: output)
    return summary
  }

  /// The VMM gives the guest its memory.
  private mutating func commitSlot(_ index: Int) throws(TraceWriteError) {
    let guest = guests[index]
    var values = InlineArray<10, UInt64>(repeating: 0)
    values[0] = 0xffff_d390_0c08_c154
    values[1] = guest.kvm
    values[3] = UInt64(guest.firstGFN)
    values[4] = UInt64(guest.pages)
    values[5] = guest.hva
    try stream.emit(.slotCommit, cpu: 0, pid: HostThread.vmm(index), values)
  }
}

/// A guest's memory and its stage 2.
struct Guest {
  /// Where guests have their memory and two devices: an emulated UART and the interrupt controller.
  static let memoryIPA: UInt64 = 0x4000_0000
  static let uartIPA: UInt64 = 0x0900_0000
  static let distributorIPA: UInt64 = 0x0800_0000

  let pages: Int
  let firstGFN: Int
  /// The address of `struct kvm`, which is that of its `mmu_lock` too.
  let kvm: UInt64
  /// Where the VMM has the memory; congruent with the IPA, so that blocks can be mapped.
  let hva: UInt64
  let pageBytes: UInt64
  var stage2: GuestStage2
  /// Ranges that the host took or aged lately: guests come back to some of them.
  var reclaimed = RecentRanges()
  var aged = RecentRanges()

  init(_ index: Int, _ configuration: SynthesizerConfiguration, _ random: inout SplitMix64) {
    let pageSize = configuration.pageSize
    pageBytes = pageSize.bytes
    pages = Int(configuration.memoryBytes / pageSize.bytes)
    firstGFN = Int(Self.memoryIPA >> pageSize.shift)
    kvm = 0xffff_0000_c1bd_a000 + UInt64(index) << 16
    // Each guest's memory lies in a part of the address space of its own: a notifier names no guest.
    let gigabyte: UInt64 = 1 << 30
    let room = (configuration.memoryBytes + 2 * gigabyte) & ~(gigabyte - 1)
    hva = 0x8000_0000_0000 + UInt64(index) * room
    stage2 = GuestStage2(
      firstGFN: firstGFN, pages: pages, pageSize: pageSize, ipaBits: configuration.ipaBits,
      setsAccessFlag: configuration.hardwareAccessFlag)
    for page in stride(from: 0, to: pages, by: stage2.blockPages)
    where stage2.block(around: page) != nil && random.below(100) < configuration.hugePagePercent {
      stage2.makeHuge(page)
    }
  }

  func hva(of page: Int) -> UInt64 { hva + UInt64(page) * pageBytes }

  func ipa(of page: Int) -> UInt64 { Self.memoryIPA + UInt64(page) * pageBytes }
}

/// The last few ranges of something.
struct RecentRanges {
  private var ranges: InlineArray<32, Range<Int>> = .init(repeating: 0..<0)
  private var next = 0

  mutating func add(_ range: Range<Int>) {
    ranges[next & 31] = range
    next += 1
  }

  /// A page of one of them, nil when there are none.
  func page(_ random: inout SplitMix64) -> Int? {
    guard next > 0 else { return nil }
    let range = ranges[random.below(min(next, 32))]
    return range.lowerBound + random.below(range.count)
  }
}

/// A vCPU and the thread that runs it.
struct VirtualCPU {
  let guest: Int
  let pid: Int32
  var cpu: Int
  var isInGuest = false
  var pc: UInt64 = 0xffff_a467_c345_3524
  /// Where its sequential stream has got to, and where its hot set lies.
  var cursor: Int
  var hot = 0

  init(guest: Int, pid: Int32, cpu: Int, cursor: Int) {
    self.guest = guest
    self.pid = pid
    self.cpu = cpu
    self.cursor = cursor
    hot = cursor
  }
}
