package import KVMTypes
internal import Stage2Model

extension ReplayReport {
  /// What the memory of a VM's stage 2 consists of at one moment, in bytes, without what is nothing. The parts add up to all of
  /// it.
  public struct MemoryParts: Encodable, Sendable {
    /// A part.
    public enum Part: String, CaseIterable, ReportWord {
      /// Mapping objects in the tree.
      case mappingTree
      /// Tables below the PGD.
      case tables
      /// The PGD.
      case pgd
      /// Pages that vCPUs hold ready for tables, on the host's side and at EL2.
      case memcaches
      /// EL2's structures of the VM and its vCPUs.
      case hypStructures
      /// Free pages of the guest's pool at EL2.
      case hypPool
      /// Pages that wait for huge mappings to be split.
      case splitCache
      /// Mapping objects that vCPUs hold ready.
      case spareMappings
      /// Mapping objects that the kernel lost.
      case lostMappings

      /// The part in a few words.
      package var title: String {
        switch self {
        case .mappingTree: "tree"
        case .tables: "tables"
        case .pgd: "PGD"
        case .memcaches: "memcaches"
        case .hypStructures: "EL2's structures"
        case .hypPool: "EL2's pool"
        case .splitCache: "split cache"
        case .spareMappings: "spare mappings"
        case .lostMappings: "lost mappings"
        }
      }
    }

    /// The bytes of each part that is not nothing.
    public let bytes: [Part: Int]

    init(_ memory: MemoryAccounting) {
      func pages(_ uses: PageUse...) -> Int {
        uses.reduce(0) { $0 + memory.pages($1).live } << Int(memory.pageSize.shift)
      }
      let all: [Part: Int] = [
        .mappingTree: memory.mappingBytesLive,
        .tables: pages(.tableLevel1, .tableLevel2, .tableLevel3),
        .pgd: pages(.pgd),
        .memcaches: pages(.hostMemcache, .hypMemcache),
        .hypStructures: pages(.hypVM, .hypVCPU),
        .hypPool: pages(.pool),
        .splitCache: pages(.splitCache),
        .spareMappings: memory.spareMappings.live * memory.bytesPerMapping,
        .lostMappings: memory.lostMappings.live * memory.bytesPerMapping,
      ]
      bytes = all.filter { $0.value > 0 }
    }

    /// "tree 36.7 KiB, tables 32 KiB, PGD 4 KiB".
    var words: String {
      Part.allCases.compactMap { part in
        bytes[part].map { "\(part.title) \(Quantity.bytes(UInt64($0)))" }
      }.joined(separator: ", ")
    }

    /// An object by part.
    public func encode(to encoder: any Encoder) throws { try bytes.encode(to: encoder) }
  }
}

extension ReplayReport.MemoryEntry {
  /// How a part is known.
  package func basis(of part: ReplayReport.MemoryParts.Part) -> Basis? {
    switch part {
    case .mappingTree, .spareMappings, .lostMappings: mappingTreeBytesBasis
    case .tables, .pgd, .memcaches, .hypPool, .splitCache: tablesBasis
    case .hypStructures: hypBasis
    }
  }
}
