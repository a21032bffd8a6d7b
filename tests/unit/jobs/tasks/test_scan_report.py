from jobs.tasks.scan_report import Finding, read

DOCUMENT = {
    "SchemaVersion": 2,
    "Results": [
        {
            "Target": "debian 12",
            "Packages": [{"Name": "openssl"}, {"Name": "zlib"}],
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2026-2",
                    "PkgName": "zlib",
                    "InstalledVersion": "1.2",
                    "Severity": "CRITICAL",
                    "Title": "overflow",
                },
                {
                    "VulnerabilityID": "CVE-2026-1",
                    "PkgName": "openssl",
                    "InstalledVersion": "3.0.1",
                    "FixedVersion": "3.0.2",
                    "Severity": "HIGH",
                },
                {
                    "VulnerabilityID": "CVE-2026-3",
                    "PkgName": "zlib",
                    "InstalledVersion": "1.2",
                    "Severity": "NEW WORD",
                },
            ],
        },
        {
            "Target": "/app/key.pem",
            "Secrets": [
                {
                    "RuleID": "private-key",
                    "Severity": "HIGH",
                    "Title": "Asymmetric Private Key",
                    "StartLine": 1,
                    "Match": "----BEGIN",
                }
            ],
        },
    ],
}


def test_findings_are_counted_by_severity_and_packages_too():
    report = read(DOCUMENT, "critical")

    assert report.counts == {"critical": 1, "high": 2, "medium": 0, "low": 0, "unknown": 1}
    assert report.packages == 2


def test_what_reaches_the_threshold_is_told_one_by_one_the_worst_first():
    report = read(DOCUMENT, "high")

    assert report.severe == [
        Finding(id="CVE-2026-2", severity="critical", where="zlib 1.2", fixed="", title="overflow"),
        Finding(id="CVE-2026-1", severity="high", where="openssl 3.0.1", fixed="3.0.2", title=""),
        Finding(
            id="private-key",
            severity="high",
            where="/app/key.pem:1",
            fixed="",
            title="Asymmetric Private Key",
        ),
    ]
    assert [each.id for each in read(DOCUMENT, "critical").severe] == ["CVE-2026-2"]


def test_an_image_without_anything_in_it_has_an_empty_report():
    report = read({"SchemaVersion": 2}, "low")

    assert (sum(report.counts.values()), report.severe, report.packages) == (0, [], 0)


def test_a_finding_without_version_or_line_is_told_without():
    found = {"VulnerabilityID": "CVE-2026-4", "PkgName": "zlib", "Severity": "HIGH"}
    secret = {"RuleID": "key", "Severity": "HIGH"}
    report = read({"Results": [{"Vulnerabilities": [found]}, {"Secrets": [secret], "Target": "/a"}]}, "high")

    assert [each.where for each in report.severe] == ["zlib", "/a"]
