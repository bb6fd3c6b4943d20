public import KVMTypes
public import Stage2Model
public import Stage2Replay

/// What one VM of a recording tells a planner: what its stage 2 occupied at its peak, and on what RAM.
public struct VMSample: Sendable, Encodable {
  /// The recording.
  public let recording: String
  /// Its position on the command line, and the VM's number in it.
  public let input: Int
  /// The VM's number in the recording.
  public let vm: Int
  /// The kind of host that the peaks are of, in words.
  public private(set) var host: String
  /// Whether it is a protected guest.
  public let isProtected: Bool
  /// Faults of its own guests, which are not replayed; nil where there are none.
  public let nestedFaults: Int?
  /// Its vCPUs, 1 at least.
  public let vcpus: Int
  /// The RAM that it had at most at one moment (`GuestMemory`).
  public let ramBytes: UInt64
  /// Its other slots: firmware, flash, memory of devices.
  public let fixedBytes: UInt64
  /// The stretches of guest memory that its slots cover.
  public let pieces: Int
  /// What faults showed in use of slots that are no RAM.
  public let touchedFixedBytes: UInt64
  /// The RAM that faults showed in use.
  public let touchedBytes: UInt64
  /// The share of the RAM, 0 to 1.
  public let touchedShare: Double
  /// The share of the touched pages that blocks mapped when they were first touched.
  public let blockShare: Double
  /// What its stage 2 had at the peak of each figure; under another kernel than the recorded one the least that the
  /// recording allows.
  public private(set) var peak: Stage2Peak
  /// The most that the recording allows, where another kernel is modelled.
  public private(set) var peakMost: Stage2Peak
  /// Its stage 2 over time.
  public let curve: VMCurve
  /// How the peaks are known: as the weakest of what they rest on.
  public private(set) var basis: Basis
  /// The kernel and machine that the peaks are of.
  private(set) var kind: Kind

  /// What must be alike for a peak of one host to be that of another one.
  struct Kind: Hashable, Sendable {
    var path: Profile.Path
    var pageSize: PageSize
    var mapsBlocks: Bool

    init(_ profile: Profile) {
      path = profile.path
      pageSize = profile.pageSize
      mapsBlocks = profile.mapsBlocks
    }

    /// It in words: `pKVM, 4 KiB pages`.
    var name: String {
      "\(path == .pkvm ? "pKVM" : "traditional MMU"), \(Quantity.bytes(pageSize.bytes)) pages"
        + (mapsBlocks ? "" : ", no blocks")
    }
  }

  /// What `result` tells of its VM `vm`; nil where no RAM is known or none was touched.
  public init?(_ recording: String, input: Int, _ vm: VMResult, of result: ReplayResult) {
    let shift = result.profile.profile.pageSize.shift
    let memory = GuestMemory(vm.slots)
    let touched = UInt64(max(0, vm.workingSet.pages - vm.workingSet.fixed.pages))
    guard memory.ramPages > 0, vm.workingSet.pages > 0 else { return nil }
    self.recording = recording
    self.input = input
    self.vm = vm.id
    isProtected = vm.isProtected
    nestedFaults = vm.faults.nested > 0 ? vm.faults.nested : nil
    vcpus = max(vm.vcpus.count, 1)
    ramBytes = memory.ramPages << shift
    fixedBytes = memory.fixedPages << shift
    pieces = memory.pieces
    touchedFixedBytes = UInt64(vm.workingSet.fixed.pages) << shift
    touchedBytes = touched << shift
    touchedShare = min(Double(touched) / Double(memory.ramPages), 1)
    blockShare = Double(vm.workingSet.blockPages) / Double(vm.workingSet.pages)
    peak = Stage2Peak(vm)
    peakMost = peak
    curve =
      result.measuresTime
      ? VMCurve(
        vm, ramPages: memory.ramPages, pageSize: result.profile.profile.pageSize,
        basis: Certainty(result, of: vm).totalBytes)
      : VMCurve(withoutTimeOf: vm)
    kind = Kind(result.profile.profile)
    host = kind.name
    basis = Certainty(result, of: vm).totalBytes
  }

  /// The same workload under another kernel of the same page size, with the least and the most that the recording allows.
  public func under(_ profile: Profile, least: VMResult, most: VMResult) -> VMSample {
    var other = self
    other.peak = Stage2Peak(least)
    other.peakMost = Stage2Peak(most)
    // What another kernel does with blocks and order of vCPUs the recording does not decide.
    other.basis = max(basis, .assumed)
    other.kind = Kind(profile)
    other.host = other.kind.name
    return other
  }

  /// Whether the recording leaves open what it would have had, since another kernel is modelled.
  package var isRange: Bool { peak != peakMost }

  /// How reports name the VM: its input and its number there.
  public var name: String { "\(input):\(vm)" }

  /// The kinds of host that VMs ran on, in their order.
  package static func hosts(_ samples: [VMSample]) -> [String] {
    var hosts: [String] = []
    for sample in samples where !hosts.contains(sample.host) { hosts.append(sample.host) }
    return hosts
  }

  /// `bytes` for each GiB of RAM.
  func perGiB(_ bytes: UInt64) -> Double { Double(bytes) / Double(ramBytes) * Double(1 << 30) }

  private enum CodingKeys: String, CodingKey {
    case recording, input, vm, host, isProtected = "protected", nestedFaults, vcpus, ramBytes, fixedBytes,
      pieces,
      touchedFixedBytes, touchedBytes
    case touchedShare, blockShare, peak, peakMost, curve, basis
  }
}

/// What the stage 2 of one VM had at most, each figure at its own moment.
public struct Stage2Peak: Hashable, Sendable, Encodable {
  /// `struct pkvm_mapping` objects in the tree; 0 on the traditional path.
  public let mappings: UInt64
  /// Their bytes.
  public let mappingTreeBytes: UInt64
  /// Tables below the PGD.
  public let tableBytes: UInt64
  /// Those of level 3.
  public let level3Tables: UInt64
  /// The PGD.
  public let pgdBytes: UInt64
  /// Spare pages in the caches of the vCPUs, of the host and of EL2, and in the guest's pool at EL2.
  public let memcacheBytes: UInt64
  /// EL2's structures of the VM and its vCPUs.
  public let hypBytes: UInt64
  /// What the host counts as SecPageTables for it.
  public let secPageTablesBytes: UInt64
  /// All of it, at one moment: no more than the sum of the others.
  public let totalBytes: UInt64
  /// The mappings and the tables of level 3 of slots that are no RAM.
  public let fixedMappings: UInt64
  /// The tables of level 3 of slots that are no RAM.
  public let fixedTables: UInt64

  init(_ vm: VMResult) {
    let memory = vm.memory
    func bytes(_ pages: Int) -> UInt64 { UInt64(pages) << memory.pageSize.shift }
    mappings = UInt64(memory.mappings.peak)
    mappingTreeBytes = UInt64(memory.mappingBytesPeak)
    tableBytes = bytes(memory.tables.peak)
    level3Tables = UInt64(memory.tables(level: .l3).peak)
    pgdBytes = bytes(memory.pages(.pgd).peak)
    memcacheBytes = bytes(memory.spares.peak)
    hypBytes = bytes(memory.pages(.hypVM).peak + memory.pages(.hypVCPU).peak)
    secPageTablesBytes = bytes(memory.secPageTables.peak)
    totalBytes = UInt64(memory.totalBytes.peak)
    fixedMappings = min(UInt64(vm.workingSet.fixed.mappings), mappings)
    fixedTables = min(UInt64(vm.workingSet.fixed.regions), level3Tables)
  }
}
