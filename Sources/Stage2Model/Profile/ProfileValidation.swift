import KVMTypes

/// Why a profile describes no host that can exist, or a change of it was refused.
@frozen
public struct ProfileProblem: Error, Hashable, Sendable, CustomStringConvertible {
  /// The field, by the name that files use.
  public let field: String
  /// What is wrong with it, and what would be right.
  public let message: String

  /// `field` is wrong because of `message`.
  public init(_ field: String, _ message: String) {
    self.field = field
    self.message = message
  }

  /// Both, as one line.
  public var description: String { "\(field): \(message)" }
}

extension Profile {
  /// What contradicts itself in the profile, empty where it can be modelled.
  public func problems() -> [ProfileProblem] {
    var problems: [ProfileProblem] = []
    func wrong(_ field: String, _ message: String) { problems.append(ProfileProblem(field, message)) }
    if !(Stage2Geometry.minimumIPABits...Stage2Geometry.maximumIPABits).contains(ipaBits) {
      wrong("ipaBits", Stage2Geometry.Failure.ipaBitsOutOfRange(ipaBits).description)
    }
    if isProtected {
      if path != .pkvm {
        wrong("protected", "a protected guest needs path pkvm, not \(path.rawValue)")
      } else if !era.supportsProtectedGuests {
        wrong(
          "protected", "protected guests have no memory in era \(era.name); 7.1 is the first that knows them")
      }
    }
    if path == .pkvm {
      if mapsBlocks && !era.hasIntervalTree {
        wrong(
          "blockMappings",
          "era \(era.name) has one node a page and refuses blocks with -EINVAL; 6.16 is the first with blocks"
        )
      }
      if splitChunkBytes != 0 {
        wrong("splitChunk", "pKVM refuses KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE: it must be 0")
      }
    } else if hypercallBatch != 1 {
      wrong("hypercallBatch", "only path pkvm makes hypercalls for mappings: it must be 1")
    }
    if hypercallBatch < 1 { wrong("hypercallBatch", "a hypercall covers at least 1 mapping") }
    if bytesPerNode < 40 || bytesPerNode % 8 != 0 {
      wrong(
        "bytesPerNode",
        "\(bytesPerNode) bytes hold no mapping object: a multiple of 8 from 40 on does, slabs have 64 or 72")
    }
    if splitChunkBytes != 0, path == .traditional, !isBlockSize(splitChunkBytes) {
      wrong("splitChunk", "\(splitChunkBytes) is not the size of a block or page of this host")
    }
    if hasXNX && era < .v6_19 {
      wrong("xnx", "era \(era.name) does not use FEAT_XNX; 6.19 is the first that does")
    }
    return problems
  }

  /// `kvm_is_block_size_supported`.
  private func isBlockSize(_ bytes: UInt64) -> Bool {
    bytes == pageSize.bytes || bytes == pageSize.pmdBytes
      || (pageSize == .size4K && bytes == pageSize.granule(.l1))
  }
}
