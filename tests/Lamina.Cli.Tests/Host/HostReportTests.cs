using System.Text.Json;
using Lamina.Cli.Host;
using Lamina.SoftCpu;
using Lamina.Vmm.Processors;

namespace Lamina.Cli.Tests.Host;

public sealed class HostReportTests
{
    [Fact]
    public void Looks_at_this_host()
    {
        HostReport report = HostReport.Collect();
        Assert.All(report.Capabilities, c => Assert.NotEmpty(c.Consequence));
        Assert.Equal(report.Capabilities.Count, report.Capabilities.Select(c => c.Name).Distinct().Count());
        string[] expected =
            ["interpreter", "translator", "kvm", "transparent huge pages", "userfaultfd", "same-page merging", "io_uring", "tap", "vhost-net", "passt", "control groups"];
        Assert.Empty(expected.Except(report.Capabilities.Select(c => c.Name)));
        Assert.Equal(CapabilityState.Yes, report.Capabilities.Single(c => c.Name == "interpreter").State);
    }

    [Fact]
    public void Says_how_fast_the_accelerators_in_software_are_here()
    {
        Assert.InRange(AcceleratorSpeed.Measure(new TranslatorAccelerator()), 0.01, 1000);
        Assert.InRange(AcceleratorSpeed.Measure(new InterpreterAccelerator()), 0.1, 1000);
        HostReport report = HostReport.Collect();
        foreach (string name in (ReadOnlySpan<string>)["interpreter", "translator"])
        {
            Assert.Matches(@"^part of Lamina, \d+\.\d ns an instruction of a guest's kernel$", report.Capabilities.Single(c => c.Name == name).Detail);
        }
    }

    [Fact]
    public void Writes_aligned_text()
    {
        HostReport report = new(
        [
            new Capability("First", "one", CapabilityState.Yes, "here", "good"),
            new Capability("First", "another", CapabilityState.Limited, "so so", "fair"),
            new Capability("Second", "third", CapabilityState.No, "gone", "bad"),
        ]);
        using StringWriter output = new() { NewLine = "\n" };
        report.Write(output, json: false);
        Assert.Equal(
            "First\n  one      yes      here   good\n  another  limited  so so  fair\n\nSecond\n  third    no       gone   bad\n",
            output.ToString());
    }

    [Fact]
    public void Writes_json()
    {
        HostReport report = new([new Capability("First", "one", CapabilityState.Limited, "here", "good")]);
        using StringWriter output = new();
        report.Write(output, json: true);
        JsonElement entry = JsonDocument.Parse(output.ToString()).RootElement[0];
        Assert.Equal("one", entry.GetProperty("name").GetString());
        Assert.Equal("Limited", entry.GetProperty("state").GetString());
    }
}
