extension CapacityPlan {
  /// The cases as CSV.
  public var csv: String {
    let header =
      "case,touchedShare,blockShare,mappingTreeBytes,tableBytes,pgdBytes,memcacheBytes,hypBytes,vmTotalBytes,allVMsBytes,bytesPerGiB,protected,input,vm\n"
    return header
      + cases.map { item in
        let need = item.need
        let shares = [item.touchedShare, item.blockShare].map { $0.map { String($0) } ?? "" }
        let bytes = [
          need.mappingTreeBytes, need.tableBytes, need.pgdBytes, need.memcacheBytes, need.hypBytes,
          item.vmTotalBytes, item.allVMsBytes, item.bytesPerGiB,
        ].map { String($0) }
        let place = [item.input, item.vm].map { $0.map { String($0) } ?? "" }
        // Names of cases have commas.
        return "\"\(item.name)\","
          + (shares + bytes + [item.isProtected ? "1" : "0"] + place).joined(separator: ",") + "\n"
      }.joined()
  }

  /// What the recorded VMs occupied over time, as CSV: a row for each moment at which anything changed.
  public var curveCSV: String {
    "input,vm,protected,sinceBootNs,totalBytes,mappingTreeBytes,secPageTablesBytes,touchedShare\n"
      + samples.map { sample in
        sample.curve.points.map { point in
          "\(sample.input),\(sample.vm),\(sample.isProtected ? 1 : 0),\(point.sinceBootNs),\(point.totalBytes),"
            + "\(point.mappingTreeBytes),\(point.secPageTablesBytes),\(point.touchedShare)\n"
        }.joined()
      }.joined()
  }
}
