import KVMTypes
import Stage2Model
import Testing

@testable import Reporting

/// The headline numbers of kernel-facts 4, and the formulas against the model.
@Suite("Capacity")
struct CapacityTests {
  static func profile(_ path: Profile.Path, _ pageSize: PageSize = .size4K, era: PKVMEra = .v7_3) -> Profile {
    var profile = Profile(path: path, era: era)
    profile.pageSize = pageSize
    profile.ipaBits = 40
    return profile
  }

  static func need(_ profile: Profile, gibibytes: Double = 1, blocks: Double) throws -> CapacityNeed {
    try CapacityNeed(
      profile, touchedBytes: UInt64(gibibytes * Double(1 << 30)), blockShare: blocks, vcpus: 1)
  }

  @Test("A GiB of pages takes 16 MiB of mappings with 4K pages, 4 MiB with 16K, 1 MiB with 64K")
  func pages() throws {
    #expect(try Self.need(Self.profile(.pkvm), blocks: 0).mappingTreeBytes == 16 << 20)
    #expect(try Self.need(Self.profile(.pkvm, .size16K), blocks: 0).mappingTreeBytes == 4 << 20)
    #expect(try Self.need(Self.profile(.pkvm, .size64K), blocks: 0).mappingTreeBytes == 1 << 20)
    var accounted = Self.profile(.pkvm)
    accounted.bytesPerNode = 72
    #expect(try Self.need(accounted, blocks: 0).mappingTreeBytes == 18 << 20)
  }

  @Test(
    "A GiB of blocks takes 32 KiB of mappings with 4K pages; a kernel without blocks takes as much as for pages"
  )
  func blocks() throws {
    #expect(try Self.need(Self.profile(.pkvm), blocks: 1).mappingTreeBytes == 32 << 10)
    #expect(try Self.need(Self.profile(.pkvm, .size16K), blocks: 1).mappingTreeBytes == 32 * 64)
    #expect(try Self.need(Self.profile(.pkvm, .size64K), blocks: 1).mappingTreeBytes == 2 * 64)
    #expect(try Self.need(Self.profile(.pkvm, era: .v6_14), blocks: 1).mappingTreeBytes == 16 << 20)
  }

  @Test("The traditional path has tables only: 512 of level 3 and one of level 2 for a GiB of pages")
  func tables() throws {
    let traditional = try Self.need(Self.profile(.traditional), blocks: 0)
    #expect(traditional.mappingTreeBytes == 0 && traditional.hypBytes == 0)
    #expect(traditional.tableBytes == 513 << 12)
    #expect(try Self.need(Self.profile(.traditional), blocks: 1).tableBytes == 1 << 12)
  }

  @Test("A GiB in one block takes no table but that which the block is in, on the path that has such blocks")
  func pudBlocks() throws {
    func cases(_ profile: Profile) throws -> [String: UInt64] {
      let plan = try CapacityPlan(
        CapacityRequest(vms: 1, memoryBytes: 9 << 29, vcpus: 1, profile: profile), [])
      return Dictionary(uniqueKeysWithValues: plan.cases.map { ($0.name, $0.need.tableBytes) })
    }
    let plan = try cases(Self.profile(.traditional))
    // The half GiB at the end takes one of level 2.
    #expect(plan["all touched, 1 GiB blocks"] == 1 << 12 && plan["all touched, all blocks"] == 5 << 12)
    var deep = Self.profile(.traditional)
    deep.ipaBits = 48
    var table = TraditionalStage2(geometry: try deep.geometry(), features: deep.features)
    for gibibyte in 0..<4 {
      table.topUpMemcache(vcpu: VCPUIndex(0), pages: 4)
      _ = table.map(
        IPA(UInt64(gibibyte) << 30), size: 1 << 30, pfn: nil, prot: [.read, .write], vcpu: VCPUIndex(0))
    }
    #expect(try cases(deep)["all touched, 1 GiB blocks"] == UInt64(table.memory.tables.live + 1) << 12)
    for other in [Self.profile(.pkvm), Self.profile(.traditional, .size16K)] {
      #expect(try cases(other)["all touched, 1 GiB blocks"] == nil)
    }
  }

  @Test("Steady memory caches are twice the tables of a walk for each vCPU under pKVM")
  func caches() throws {
    var profile = Self.profile(.pkvm)
    // Four levels: three tables below the PGD.
    profile.ipaBits = 48
    let one = try CapacityNeed(profile, touchedBytes: 1 << 30, blockShare: 1, vcpus: 1)
    let four = try CapacityNeed(profile, touchedBytes: 1 << 30, blockShare: 1, vcpus: 4)
    #expect(one.memcacheBytes == 6 << 12)
    #expect(four.memcacheBytes == 24 << 12)
    // Two pages for the VM, three for each vCPU.
    #expect(one.hypBytes == 5 << 12)
    #expect(four.hypBytes == 14 << 12)
  }

  @Test(
    "The formulas are what the model itself allocates",
    arguments: [PageSize.size4K, .size16K, .size64K], [0.0, 0.25, 1.0])
  func model(pageSize: PageSize, blocks: Double) throws {
    for path in [Profile.Path.pkvm, .traditional] {
      let profile = Self.profile(path, pageSize)
      // Four regions of level 2 and a half.
      let bytes = pageSize.pmdBytes * 4 + pageSize.pmdBytes / 2
      let need = try CapacityNeed(profile, touchedBytes: bytes, blockShare: blocks, vcpus: 1)
      let geometry = try profile.geometry()
      let blockRegions = Int((blocks * 5).rounded(.down))
      func populate<Backend: Stage2Backend & ~Copyable>(_ backend: inout Backend) {
        for region in 0..<5 {
          let start = UInt64(region) * pageSize.pmdBytes
          let step = region < blockRegions ? pageSize.pmdBytes : pageSize.bytes
          // The last region is one of which the memory has a half.
          for address in stride(from: start, to: min(start + pageSize.pmdBytes, bytes), by: Int(step)) {
            backend.topUpMemcache(vcpu: VCPUIndex(0), pages: geometry.minPages)
            let result = backend.map(
              IPA(address), size: step, pfn: nil, prot: [.read, .write], vcpu: VCPUIndex(0))
            #expect(result == .success)
          }
        }
      }
      let memory: MemoryAccounting
      if path == .pkvm {
        var backend = PKVMStage2(PKVMConfiguration(geometry: geometry, era: .v7_3, isProtected: false))
        populate(&backend)
        memory = backend.memory
      } else {
        var backend = TraditionalStage2(geometry: geometry, features: profile.features)
        populate(&backend)
        memory = backend.memory
      }
      #expect(need.tableBytes == UInt64(memory.tables.live) << pageSize.shift)
      #expect(need.pgdBytes == UInt64(memory.pages(.pgd).live) << pageSize.shift)
      if path == .pkvm { #expect(need.mappingTreeBytes == UInt64(memory.mappingBytesLive)) }
    }
  }

  @Test("hyp_vmemmap takes 2 MiB for each GiB with 4K pages, and nothing without pKVM")
  func vmemmap() throws {
    func plan(_ path: Profile.Path) throws -> CapacityPlan {
      try CapacityPlan(
        CapacityRequest(vms: 3, memoryBytes: 4 << 30, vcpus: 2, profile: Self.profile(path)), [])
    }
    #expect(try plan(.pkvm).hypVMemmapBytes == 24 << 20)
    #expect(try plan(.traditional).hypVMemmapBytes == 0)
    let worst = try #require(try plan(.pkvm).cases.last)
    #expect(worst.allVMsBytes == 3 * worst.vmTotalBytes)
    #expect(try plan(.pkvm).lockLeast == nil)
  }
}
