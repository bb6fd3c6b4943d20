import KVMTypes
import Testing

@testable import Stage2Model

struct ProfileTests {
  @Test func builtInsAreValidAndDistinct() {
    let releases = ["v3"] + (12...19).map { "6.\($0)" } + (0...3).map { "7.\($0)" }
    #expect(Profile.builtIns.map(\.name) == releases.flatMap { ["\($0)-pkvm", "\($0)-traditional"] })
    for profile in Profile.builtIns {
      #expect(profile.problems() == [])
      #expect(Profile.builtIn(named: profile.name) == profile)
    }
    var release = Profile(path: .pkvm, era: .v7_3)
    release.name = "7.3"
    #expect(Profile.builtIn(named: "7.3") == release)
    #expect(Profile.builtIn(named: "6.15")?.era == .v6_15)
    #expect(Profile.builtIn(named: "6.12-pkvm")?.path == .traditional)
    #expect(Profile.builtIn(named: "") == nil)
  }

  @Test func whatTheErasDoDifferently() {
    #expect(Profile.builtIns.filter { $0.faultLock == .write } == Profile.builtIns.filter { $0.isPKVM })
    #expect(Profile.builtIns.filter { !$0.mapsBlocks }.map(\.name) == ["v3-pkvm", "6.14-pkvm", "6.15-pkvm"])
    let inChunks = Set(Profile.builtIns.filter { $0.era.destroysInChunks }.map(\.era))
    #expect(inChunks == [.v6_19, .v7_1, .v7_2, .v7_3])
  }

  @Test func fieldsAreReadAndChangedByName() throws {
    let changes: [(String, ProfileValue)] = [
      ("path", .word("traditional")), ("era", .word("6.19")), ("protected", .bool(false)),
      ("pageSize", .integer(65536)), ("ipaBits", .integer(52)), ("hardwareAF", .bool(false)),
      ("dic", .bool(true)), ("fwb", .bool(true)), ("tlbRange", .bool(true)), ("xnx", .bool(true)),
      ("faultLock", .word("write")), ("blockMappings", .bool(false)), ("bytesPerNode", .integer(72)),
      ("hypercallBatch", .integer(1)), ("splitChunk", .integer(512 << 20)),
    ]
    var profile = try #require(Profile.builtIn(named: "7.3"))
    for (name, value) in changes {
      try profile.set(name, to: value)
      #expect(ProfileField.ID(rawValue: name).map { profile[$0] } == value)
    }
    // Every field has its row, here and in the profile.
    #expect(changes.map(\.0) == Profile.fields.map(\.name))
    #expect(Set(Profile.fields.map(\.id)) == Set(ProfileField.ID.allCases))
    #expect(profile.problems() == [])
    #expect(profile.path == .traditional)
    #expect(profile.pageSize == .size64K)
    #expect(try profile.geometry().levels == 3)
    #expect(
      profile.features
        == Stage2Features(hasFWB: true, hasTLBIRange: true, hasXNX: true, relaxPermsTakesExecute: true))
  }

  @Test func everyFieldRefusesTheWrongForm() {
    for field in Profile.fields {
      var profile = Profile(path: .pkvm, era: .v7_3)
      let wrong: ProfileValue =
        if case .bool = field.value(in: profile) { .integer(1) } else { .bool(true) }
      #expect(throws: ProfileProblem.self) { try profile.set(field.name, to: wrong) }
      #expect(profile == Profile(path: .pkvm, era: .v7_3))
    }
  }

  @Test func errorsSayWhatWouldBeRight() {
    var profile = Profile(path: .pkvm, era: .v7_3)
    #expect(throws: ProfileProblem("pageSize", "8192 is not possible, 4096, 16384 or 65536 is")) {
      try profile.set("pageSize", to: .integer(8192))
    }
    #expect(throws: ProfileProblem("faultLock", "both is not possible, read or write is")) {
      try profile.set("faultLock", to: .word("both"))
    }
    do {
      try profile.set("pagesize", to: .integer(4096))
      Issue.record("an unknown field was accepted")
    } catch {
      #expect(
        error.description.hasPrefix("pagesize: no such field; there are path, era, protected, pageSize"))
    }
  }

  @Test func contradictions() {
    func problems(_ path: Profile.Path, _ era: PKVMEra, _ change: (inout Profile) -> Void) -> [String] {
      var profile = Profile(path: path, era: era)
      change(&profile)
      return profile.problems().map(\.field)
    }
    #expect(problems(.pkvm, .v7_3) { $0.isProtected = true } == [])
    #expect(problems(.pkvm, .v6_16) { $0.isProtected = true } == ["protected"])
    #expect(problems(.traditional, .v7_3) { $0.isProtected = true } == ["protected"])
    #expect(problems(.pkvm, .v6_14) { $0.mapsBlocks = true } == ["blockMappings"])
    #expect(problems(.traditional, .v6_14) { $0.mapsBlocks = true } == [])
    #expect(problems(.pkvm, .v7_3) { $0.splitChunkBytes = 2 << 20 } == ["splitChunk"])
    #expect(problems(.traditional, .v7_3) { $0.splitChunkBytes = 2 << 20 } == [])
    #expect(problems(.traditional, .v7_3) { $0.splitChunkBytes = 3 << 20 } == ["splitChunk"])
    #expect(problems(.traditional, .v7_3) { $0.hypercallBatch = 8 } == ["hypercallBatch"])
    #expect(problems(.pkvm, .v7_3) { $0.hypercallBatch = 0 } == ["hypercallBatch"])
    #expect(problems(.pkvm, .v7_3) { $0.bytesPerNode = 20 } == ["bytesPerNode"])
    #expect(problems(.pkvm, .v7_3) { $0.ipaBits = 53 } == ["ipaBits"])
    #expect(problems(.traditional, .v6_16) { $0.hasXNX = true } == ["xnx"])
    // What the kernel does not do but a patch might: faults side by side under pKVM.
    #expect(problems(.pkvm, .v7_3) { $0.faultLock = .read } == [])
  }
}
