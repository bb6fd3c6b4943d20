public import KVMTypes

/// What a synthetic trace should contain.
public struct SynthesizerConfiguration: Sendable {
  /// Events to write.
  public var events = 1_000_000
  /// Virtual machines; each has its own VMM process and one memslot.
  public var vms = 1
  /// vCPUs of each virtual machine.
  public var vcpus = 4
  /// CPUs of the host.
  public var cpus = 4
  /// Memory of each virtual machine, in bytes.
  public var memoryBytes: UInt64 = 1 << 30
  /// Where the sequence of random numbers starts; the same seed gives the same trace.
  public var seed: UInt64 = 1
  /// The host's page size.
  public var pageSize = PageSize.size4K
  /// The address bits of the guest: they decide the level at which a walk starts.
  public var ipaBits = 44
  /// Runs of events that are lost.
  public var losses = 0
  /// How much of a guest's memory has huge pages of the host behind it, in percent.
  public var hugePagePercent = 0
  /// How many of a thousand steps the host takes to age, test and unmap memory.
  public var notifierPermille = 80
  /// Whether the CPUs set the access flag themselves, so that aging leads to no faults.
  public var hardwareAccessFlag = false
  /// Whether the trace has faults and notifiers alone, without the entries and exits of the loop around them, and the
  /// vCPUs fault at random pages: most work for each event.
  public var faultsOnly = false
  /// The time stamp near which the trace begins.
  public var startNanoseconds: UInt64 = 100_000_000_000

  /// The defaults.
  public init() {}

  /// Why the configuration makes no trace, nil when it is sound.
  public var problem: String? {
    if events < 1 { return "at least one event is needed" }
    if !(1...64).contains(vms) { return "the number of VMs must lie between 1 and 64" }
    if !(1...512).contains(vcpus) { return "the number of vCPUs must lie between 1 and 512" }
    if !(1...512).contains(cpus) { return "the number of CPUs must lie between 1 and 512" }
    if memoryBytes % pageSize.bytes != 0 || memoryBytes < 64 * pageSize.bytes {
      return "the memory must be a multiple of the page size, and at least 64 pages"
    }
    if memoryBytes > 1 << 42 { return "the memory must not exceed 4 TiB" }
    if losses < 0 || losses > events / 100 { return "at most one loss per 100 events is possible" }
    if !(0...100).contains(hugePagePercent) { return "the share of huge pages is a percentage" }
    if !(0...1000).contains(notifierPermille) { return "the share of notifiers is in parts of a thousand" }
    return nil
  }

  /// The headers of such a trace.
  public func description(_ flavour: TraceFlavour) -> TraceDescription {
    var description = TraceDescription(flavour, cpus: cpus)
    description.options = [
      .clock("[local] global counter uptime perf mono mono_raw boot tai \n"),
      .uname("Linux synthetic 7.3.4 aarch64"), .traceID(seed), .cpuCount(UInt32(cpus)),
    ]
    description.commandLines = [(HostThread.kswapd, "kswapd0"), (HostThread.khugepaged, "khugepaged")]
    for vm in 0..<vms {
      description.commandLines.append((HostThread.vmm(vm), "qemu-system-aar"))
      for vcpu in 0..<vcpus {
        description.commandLines.append((HostThread.vcpu(vm, vcpu), "CPU \(vcpu)/KVM"))
      }
    }
    return description
  }
}

/// Thread ids of a synthetic host.
enum HostThread {
  static let kswapd: Int32 = 61
  static let khugepaged: Int32 = 38

  /// The main thread of a VM's process.
  static func vmm(_ vm: Int) -> Int32 { 1000 + 1000 * Int32(vm) }
  /// The thread of a vCPU.
  static func vcpu(_ vm: Int, _ vcpu: Int) -> Int32 { vmm(vm) + 7 + Int32(vcpu) }
}

/// What a synthetic trace turned out to contain.
public struct SynthesizerSummary: Hashable, Sendable {
  /// Events in the file.
  public var events = 0
  /// Events in the file by name.
  public var eventCounts: [String: Int] = [:]
  /// The time stamp of the first event.
  public var firstNanoseconds: UInt64 = 0
  /// The time stamp of the last event.
  public var lastNanoseconds: UInt64 = 0
  /// Marks of lost events in the file.
  public var losses = 0
  /// Lost events whose number the file states; half of the marks state none.
  public var countedLostEvents = 0
}
