import Foundation
import Testing

/// What of `tools/lab` needs no emulator and no archive.
@Suite("The lab")
struct LabTests {
  private static let lab = Tool.root.appendingPathComponent("tools/lab").path

  private static func recordings(_ settings: String) throws -> [String] {
    let outcome = try Tool.shell(
      "cd \"$1\" && \(settings); source tools/lab-kit/verify && stored_recordings", [Tool.root.path])
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
    return outcome.output.split(separator: "\n").map { String($0.dropFirst("traces/".count)) }
  }

  @Test(
    "verify compares with the recordings of its host, kernel and page size",
    arguments: [("pkvm-nvhe", "7.3", "4k"), ("pkvm-hvhe", "7.3", "16k"), ("kvm-vhe", "6.12", "16k")])
  func storedRecordings(host: String, series: String, pages: String) throws {
    let found = try Self.recordings("host=\(host) against=\(series) pages=\(pages)")
    let prefix = "\(host)-\(series)."
    let traces = try FileManager.default.contentsOfDirectory(
      atPath: Tool.root.appendingPathComponent("traces").path)
    let workloads = try FileManager.default.contentsOfDirectory(
      atPath: Tool.root.appendingPathComponent("tools/lab-kit/workloads").path)
    let expected = traces.filter { name in
      name.hasPrefix(prefix) && name.contains("-16k-") == (pages == "16k")
        && workloads.contains { name.hasSuffix("-\($0).dat") }
    }
    #expect(!expected.isEmpty)
    #expect(found.sorted() == expected.sorted())
  }

  @Test(
    "What cannot be recorded is one line and status 64, before anything is fetched",
    arguments: [
      (["record", "--host", "pkvm", "guest-boot"], "no host 'pkvm'"),
      (["record", "--pages", "64k", "guest-boot"], "no page size '64k'"),
      (["record", "--kernel", "/no/such/Image", "guest-boot"], "no kernel series such as 7.3, and no file"),
      (["record", "no-such-workload"], "no workload 'no-such-workload'"),
      (["record", "-o", "/no/such/directory/a.dat", "guest-boot"], "no directory '/no/such/directory'"),
      (
        ["record", "-o", "a.dat", "guest-boot", "two-guests"], "-o names one file, and there are 2 workloads"
      ),
      (["record", "--seed"], "--seed needs a value"), (["record"], "record takes workloads"),
      (["verify"], "verify takes a kernel"), (["play", "guest-boot"], "no verb 'play'"),
    ])
  func usage(arguments: [String], problem: String) throws {
    let outcome = try Tool.shell(
      "cache=$(mktemp -d); XDG_CACHE_HOME=$cache \(Self.lab) \"$@\"; code=$?; rm -rf \"$cache\"; exit $code",
      arguments)
    #expect(outcome.status == 64)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errorLines.count == 1 && outcome.errors.contains(problem), "\(outcome.errors)")
  }
}
