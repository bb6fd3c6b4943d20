import Stage2Model
import Testing

@testable import Reporting

@Suite("Capacity request")
struct CapacityRequestTests {
  @Test("Assumed bits of IPA grow to what the memory needs, and the plan says so")
  func growsIPA() throws {
    var profile = Profile(path: .traditional, era: .v7_3)
    profile.ipaBits = 40
    var request = CapacityRequest(vms: 1, memoryBytes: 1 << 40, vcpus: 1, profile: profile, pgdPages: 1...2)
    request.growIPA()
    #expect(request.profile.ipaBits == 40 && request.pgdPages == 1...2)
    request.memoryBytes += 1
    request.growIPA()
    #expect(request.profile.ipaBits == 41 && request.pgdPages == nil)
    let plan = try CapacityPlan(request, [])
    #expect(plan.ipaBits == 41)
    #expect(plan.assumptions.contains { $0.hasPrefix("41 bits of IPA: the 40 assumed") })
  }
}
