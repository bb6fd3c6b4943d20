public import KVMTypes
internal import Stage2Model
package import Stage2Replay

extension ReplayReport {
  /// Mapping objects.
  public struct MappingsEntry: Encodable, Sendable {
    /// At the end of the trace.
    public var live: Int
    /// At most.
    public var peak: Int
    /// Those that map a page.
    public var page: Level
    /// Those that map a block.
    public var block: Level
  }

  /// Tables below the PGD.
  public struct TablesEntry: Encodable, Sendable {
    /// Pages at the end of the trace.
    public var live: Int
    /// Pages at most.
    public var peak: Int
    /// By the level of the table, from 1 to 3.
    public var byLevel: [Int: Level]
  }

  /// Depth of the mapping tree.
  public struct DepthEntry: Encodable, Sendable {
    /// The deepest node's.
    public var max: Int
    /// The mean over all nodes.
    public var mean: Double
  }

  /// The memory of a VM's stage 2. What is live is so at the end of the trace: nothing, if the VM is gone by then. Where
  /// the trace cannot tell what is mapped there is nothing but the basis, `unknown`.
  public struct MemoryEntry: Encodable, Sendable {
    /// Mapping objects (`struct pkvm_mapping`), nil on the traditional path.
    public var mappings: MappingsEntry?
    /// Their bytes.
    public var mappingTreeBytes: Level?
    /// Depth of their tree, where the tree is modelled.
    public var treeDepth: DepthEntry?
    /// Pages of the PGD.
    public var pgdPages: Int?
    /// Tables below it.
    public var tablePages: TablesEntry?
    /// Pages that vCPUs hold ready for tables.
    public var memcachePages: Level?
    /// All of it.
    public var totalBytes: Level?
    /// What `totalBytes.live` consists of.
    public var parts: MemoryParts?
    /// What of the live bytes the host holds.
    public var hostBytes: Int?
    /// What of the live bytes EL2 holds, which got it from the host.
    public var hypBytes: Int?
    /// Live bytes, of a VM that is gone those it had last, for each GiB of guest memory that faults showed in use; nil
    /// where none did.
    public var bytesPerTouchedGiB: Int?
    /// What a VM that is gone had last; nil for one that is not.
    public var lastState: LastStateEntry?
    /// How the figures are known, as the weakest of them; nil, `unknown`, where the trace cannot tell what is mapped.
    @OrUnknown public var basis: Basis?
    /// How it is known what is mapped, and with it mappings and the depth of their tree.
    public var mappingsBasis: Basis?
    /// How the bytes of mappings are known; nil on the traditional path.
    public var mappingTreeBytesBasis: Basis?
    /// How the PGD, tables and the pages in memcaches are known.
    public var tablesBasis: Basis?
    /// How `hypBytes` are known; nil on the traditional path.
    public var hypBasis: Basis?
    /// The memory over time.
    public var series: [MemorySeriesEntry]?
  }

  /// The memory of a VM's stage 2 just before the VM was gone.
  public struct LastStateEntry: Encodable, Sendable {
    /// Mapping objects, nil on the traditional path.
    public var mappings: Int?
    /// Their bytes.
    public var mappingTreeBytes: Int?
    /// Pages of the PGD.
    public var pgdPages: Int
    /// Tables below it.
    public var tablePages: Int
    /// Pages that vCPUs held ready for tables.
    public var memcachePages: Int
    /// All of it.
    public var totalBytes: Int
    /// What that consists of.
    public var parts: MemoryParts
  }

  /// The memory of a VM's stage 2 at the end of an interval. Intervals in which nothing changed are left out.
  public struct MemorySeriesEntry: Encodable, Sendable {
    /// The end of the interval.
    public var timeNs: UInt64
    /// Mapping objects that map a page.
    public var pageMappings: Int
    /// Mapping objects that map a block.
    public var blockMappings: Int
    /// The bytes of both.
    public var mappingTreeBytes: Int
    /// Tables below the PGD.
    public var tablePages: Int
    /// Pages that vCPUs hold ready for tables.
    public var memcachePages: Int
    /// All of it.
    public var totalBytes: Int

    /// What `sample` has, at the end of an interval.
    package init(_ sample: MemorySample, at time: Nanoseconds) {
      timeNs = time.rawValue
      pageMappings = sample.pageMappings
      blockMappings = sample.blockMappings
      mappingTreeBytes = sample.mappingTreeBytes
      tablePages = sample.tablePages
      memcachePages = sample.memcachePages
      totalBytes = sample.totalBytes
    }
  }
}

extension ReplayReport.MemoryEntry {
  init(_ vm: VMResult, _ certainty: Certainty, _ grid: TimeGrid, isPKVM: Bool) {
    guard vm.isTableKnown else {
      basis = nil
      return
    }
    let memory = vm.memory
    if isPKVM {
      mappings = ReplayReport.MappingsEntry(
        live: memory.mappings.live, peak: memory.mappings.peak, page: .init(memory.pageMappings),
        block: .init(memory.blockMappings))
      mappingTreeBytes = ReplayReport.Level(live: memory.mappingBytesLive, peak: memory.mappingBytesPeak)
      mappingTreeBytesBasis = certainty.mappingTreeBytes
      treeDepth = vm.treeDepth.map { ReplayReport.DepthEntry(max: $0.maximum, mean: $0.mean) }
    }
    pgdPages = memory.pages(.pgd).live
    let levels = [TranslationLevel.l1, .l2, .l3].map { ($0, memory.tables(level: $0)) }.filter { $1.peak > 0 }
    tablePages = ReplayReport.TablesEntry(
      live: memory.tables.live, peak: memory.tables.peak,
      byLevel: Dictionary(uniqueKeysWithValues: levels.map { (Int($0.rawValue), .init($1)) }))
    let spare = [PageUse.hostMemcache, .hypMemcache].map { memory.pages($0) }
    memcachePages = ReplayReport.Level(
      live: spare.reduce(0) { $0 + $1.live }, peak: spare.reduce(0) { $0 + $1.peak })
    totalBytes = .init(memory.totalBytes)
    parts = ReplayReport.MemoryParts(memory)
    let hypUses: [PageUse] =
      isPKVM
      ? [.pgd, .tableLevel1, .tableLevel2, .tableLevel3, .hypMemcache, .pool, .hypVM, .hypVCPU] : []
    let ofHyp = hypUses.reduce(0) { $0 + memory.pages($1).live } << Int(memory.pageSize.shift)
    hypBytes = ofHyp
    hostBytes = memory.totalBytes.live - ofHyp
    lastState = vm.lastMemory.map { ReplayReport.LastStateEntry($0, isPKVM: isPKVM) }
    let touchedBytes = Double(vm.workingSet.pages) * Double(memory.pageSize.bytes)
    let bytes = (vm.lastMemory ?? memory).totalBytes.live
    bytesPerTouchedGiB = touchedBytes > 0 ? Int(Double(bytes) / touchedBytes * Double(1 << 30)) : nil
    let samples = vm.memorySeries.samples
    series = samples.indices.filter { $0 == 0 || samples[$0] != samples[$0 - 1] }.map { index in
      ReplayReport.MemorySeriesEntry(samples[index], at: grid.end(of: vm.memorySeries.first + index))
    }
    mappingsBasis = certainty.mappings
    tablesBasis = certainty.tables
    hypBasis = isPKVM ? certainty.hyp : nil
    basis = certainty.totalBytes
  }
}

extension ReplayReport.LastStateEntry {
  init(_ memory: MemoryAccounting, isPKVM: Bool) {
    mappings = isPKVM ? memory.mappings.live : nil
    mappingTreeBytes = isPKVM ? memory.mappingBytesLive : nil
    pgdPages = memory.pages(.pgd).live
    tablePages = memory.tables.live
    memcachePages = memory.pages(.hostMemcache).live + memory.pages(.hypMemcache).live
    totalBytes = memory.totalBytes.live
    parts = ReplayReport.MemoryParts(memory)
  }

  /// "587 mappings, 8 tables, 168.7 KiB (tree 36.7 KiB, tables 32 KiB)".
  var words: String {
    (mappings.map { "\(Quantity.count($0)) mapping\($0 == 1 ? "" : "s"), " } ?? "")
      + "\(Quantity.count(tablePages)) table\(tablePages == 1 ? "" : "s"), "
      + Quantity.bytes(UInt64(totalBytes)) + (parts.bytes.isEmpty ? "" : " (\(parts.words))")
  }
}

extension ReplayReport {
  /// What may not be known: reports have the word `unknown` for it then.
  @propertyWrapper
  public struct OrUnknown<Value: ReportWord>: Encodable, Sendable {
    /// The value, nil where it is not known.
    public var wrappedValue: Value?

    /// `wrappedValue`, or unknown.
    public init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

    /// The value's word.
    public func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      try container.encode(wrappedValue?.word ?? "unknown")
    }
  }
}
