using Lamina.SoftCpu;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>Snapshots that rest on others, and compressed ones: a chain gives the memory that a full one gives, has no more than what changed, and is refused where a part of it is missing or another.</summary>
public sealed class IncrementalSnapshotTests : IDisposable
{
    private const int PageSize = 4096;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-snapshots").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void A_chain_gives_the_memory_of_a_full_snapshot(bool compressBase, bool compressRest)
    {
        string last;
        using (EchoGuest guest = EchoGuest.Boot(new TranslatorAccelerator(), EchoGuest.PageWriter))
        {
            guest.Type("a", "b");
            guest.Type("b", "c");
            string first = Take(guest, null, compressBase);
            guest.Type("a", "c");
            guest.Type("c", "d");
            string second = Take(guest, first, compressRest);
            guest.Machine.MoveTo(new InterpreterAccelerator());
            guest.Type("a", "d");
            last = Take(guest, second, compressRest);
            CompareWithFull(guest, last);
        }

        // What a restored machine changes counts from the snapshot that it began in.
        for (int cycle = 0; cycle < 4; cycle++)
        {
            using EchoGuest guest = EchoGuest.Restore(last, cycle % 2 == 0 ? new InterpreterAccelerator() : new TranslatorAccelerator());
            guest.Type("a", ((char)('e' + cycle)).ToString());
            guest.Type("b", ((char)('d' + cycle)).ToString());
            guest.Type(((char)('g' + cycle)).ToString(), ((char)('h' + cycle)).ToString());
            last = Take(guest, last, compressRest && cycle == 1);
            CompareWithFull(guest, last);
        }

        using MachineSnapshot snapshot = MachineSnapshot.Open(last);
        snapshot.Verify();
    }

    // By KVM's bitmaps, and by its rings where it has them.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void So_does_a_chain_that_was_taken_under_Kvm(bool rings)
    {
        string last;
        using (EchoGuest guest = EchoGuest.Boot(TestKvm.Create(rings: rings), EchoGuest.PageWriter))
        {
            guest.Type("a", "b");
            guest.Type("b", "c");
            string first = Take(guest, null, false);
            guest.Type("a", "c");
            guest.Type("c", "d");
            last = Take(guest, first, false);
            Assert.InRange(CountPages(last), 2, 4);
            CompareWithFull(guest, last);
            guest.Machine.MoveTo(new TranslatorAccelerator());
            guest.Type("a", "d");
            string third = Take(guest, last + "-full", false);
            guest.Machine.MoveTo(TestKvm.Create(rings: rings));
            guest.Type("d", "e");
            last = Take(guest, third, false);
            CompareWithFull(guest, last);
        }

        // What a restored machine changes counts from the snapshot that it began in.
        for (int cycle = 0; cycle < 4; cycle++)
        {
            using EchoGuest guest = EchoGuest.Restore(last, cycle % 2 == 0 ? TestKvm.Create(rings: rings) : new TranslatorAccelerator());
            guest.Type("a", ((char)('e' + cycle)).ToString());
            guest.Type(((char)('g' + cycle)).ToString(), ((char)('h' + cycle)).ToString());
            last = Take(guest, last, false);
            CompareWithFull(guest, last);
        }

        using MachineSnapshot snapshot = MachineSnapshot.Open(last);
        snapshot.Verify();
    }

    [Fact]
    public void It_has_no_more_than_what_changed()
    {
        using EchoGuest guest = EchoGuest.Boot(new TranslatorAccelerator(), EchoGuest.PageWriter);
        foreach (char page in "abcdefghijklmnopqrstuvwxyz")
        {
            guest.Type(page.ToString(), ((char)(page + 1)).ToString());
        }

        string first = Take(guest, null, false);
        guest.Type("m", "o");
        guest.Type("p", "r");
        string second = Take(guest, first, false);
        Assert.InRange(CountPages(second), 2, 4);
        Assert.Equal(16 << 20, new FileInfo(Path.Combine(second, "memory.bin")).Length);
    }

    [Fact]
    public void What_a_failed_snapshot_had_taken_counts_again()
    {
        using EchoGuest guest = EchoGuest.Boot(new TranslatorAccelerator(), EchoGuest.PageWriter);
        guest.Type("a", "b");
        string first = Take(guest, null, false);
        guest.Type("a", "c");
        Assert.Throws<SnapshotException>(() => guest.Machine.Snapshot([], new SnapshotOptions()));
        guest.Type("b", "c");
        string second = Take(guest, first, false);
        CompareWithFull(guest, second);
    }

    [Fact]
    public void A_base_that_is_missing_another_or_damaged_is_named()
    {
        using EchoGuest guest = EchoGuest.Boot(new InterpreterAccelerator(), EchoGuest.PageWriter);
        string none = Path.Combine(_directory, "none");
        Assert.Contains("has no 'manifest.json'", Assert.Throws<SnapshotException>(() => BaseSnapshot.Read(none, NewPath())).Message, StringComparison.Ordinal);
        guest.Type("a", "b");
        string first = Take(guest, null, false);
        guest.Type("a", "c");
        string second = Take(guest, first, false);
        guest.Type("a", "d");
        string third = Take(guest, second, false);
        Assert.Contains("not the last snapshot", Assert.Throws<SnapshotException>(() => Take(guest, first, false)).Message, StringComparison.Ordinal);

        // A damaged page below is seen by whoever checks.
        string memory = Path.Combine(first, "memory.bin");
        byte[] content = File.ReadAllBytes(memory);
        content[0x20_0010] ^= 1;
        File.WriteAllBytes(memory, content);
        Assert.Contains($"{first}/memory.bin", OpenAndVerify(third), StringComparison.Ordinal);
        content[0x20_0010] ^= 1;
        File.WriteAllBytes(memory, content);

        string pages = Path.Combine(third, "pages.bin");
        content = File.ReadAllBytes(pages);
        File.WriteAllBytes(pages, content[..^16]);
        Assert.Contains("'pages.bin'", OpenAndVerify(third), StringComparison.Ordinal);
        File.WriteAllBytes(pages, content);

        string manifest = Path.Combine(second, "manifest.json");
        string text = File.ReadAllText(manifest);
        File.WriteAllText(manifest, text + " ");
        string problem = OpenAndVerify(third);
        Assert.Contains(second, problem, StringComparison.Ordinal);
        Assert.Contains("another snapshot", problem, StringComparison.Ordinal);
        File.WriteAllText(manifest, text);

        manifest = Path.Combine(third, "manifest.json");
        text = File.ReadAllText(manifest);
        string name = Path.GetFileName(second);
        Assert.Contains(name, text, StringComparison.Ordinal);
        File.WriteAllText(manifest, text.Replace(name, "\\u0000", StringComparison.Ordinal));
        Assert.Contains("in the wrong form", OpenAndVerify(third), StringComparison.Ordinal);
        File.WriteAllText(manifest, text);

        Directory.Move(first, first + "-away");
        Assert.Contains(first, OpenAndVerify(third), StringComparison.Ordinal);
        Directory.Move(first + "-away", first);
        using MachineSnapshot snapshot = MachineSnapshot.Open(third);
        snapshot.Verify();
    }

    [Fact]
    public void A_chain_that_was_moved_together_is_found()
    {
        using EchoGuest guest = EchoGuest.Boot(new InterpreterAccelerator(), EchoGuest.PageWriter);
        string place = Path.Combine(_directory, "place");
        Directory.CreateDirectory(place);
        guest.Type("a", "b");
        guest.Machine.Snapshot(Path.Combine(place, "one"));
        guest.Type("a", "c");
        guest.Machine.Snapshot(Path.Combine(place, "two"), new SnapshotOptions { Base = BaseSnapshot.Read(Path.Combine(place, "one"), Path.Combine(place, "two")) });
        Directory.Move(place, place + "-elsewhere");
        using EchoGuest restored = EchoGuest.Restore(Path.Combine(place + "-elsewhere", "two"), new TranslatorAccelerator());
        restored.Type("a", "d");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void A_compressed_memory_that_is_damaged_is_named(int way)
    {
        using EchoGuest guest = EchoGuest.Boot(new InterpreterAccelerator(), EchoGuest.PageWriter);
        guest.Type("a", "b");
        string path = Take(guest, null, true);
        string file = Path.Combine(path, "memory.z");
        byte[] content = File.ReadAllBytes(file);
        Assert.True(content.Length < 100_000, $"{content.Length} bytes are not compressed");
        switch (way)
        {
            case 0:
                File.WriteAllBytes(file, content[..^16]);
                break;
            case 1:
                content[content.Length / 2] ^= 0x40;
                File.WriteAllBytes(file, content);
                break;
            default:
                File.Delete(file);
                break;
        }

        Exception? problem = Record.Exception(() => EchoGuest.Restore(path, new InterpreterAccelerator()));
        Assert.True(problem is SnapshotException or MachineConfigurationException, $"{problem}");
        Assert.Contains("'memory.z'", problem!.Message, StringComparison.Ordinal);
    }

    private string Take(EchoGuest guest, string? below, bool compress)
    {
        string path = NewPath();
        guest.Machine.Snapshot(path, new SnapshotOptions { Base = below == null ? null : BaseSnapshot.Read(below, path), IsCompressed = compress });
        return path;
    }

    // A full snapshot of the same moment, which then is the last one: "-full".
    private static void CompareWithFull(EchoGuest guest, string chain)
    {
        guest.Machine.Pause();
        string again = chain + "-again";
        guest.Machine.Snapshot(again, new SnapshotOptions { Base = BaseSnapshot.Read(chain, again) });
        string full = chain + "-full";
        guest.Machine.Snapshot(full);
        using MachineSnapshot one = MachineSnapshot.Open(again);
        using MachineSnapshot other = MachineSnapshot.Open(full);
        using SnapshotMemory left = one.MapMemory();
        using SnapshotMemory right = other.MapMemory();
        for (ulong at = 0; at < left.Mapping.Length; at += PageSize)
        {
            if (!left.Mapping.GetSpan(at, PageSize).SequenceEqual(right.Mapping.GetSpan(at, PageSize)))
            {
                Assert.Fail($"page 0x{at:x} of the chain is not that of a full snapshot");
            }
        }

        guest.Machine.Resume();
    }

    private static int CountPages(string path) => (int)PageList.Read(File.ReadAllBytes(Path.Combine(path, "pages.bin")), 16 << 20)!.Sum(static r => (long)r.Count);

    private static string OpenAndVerify(string path) => Assert.Throws<SnapshotException>(() =>
    {
        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        snapshot.Verify();
    }).Message;

    private string NewPath() => Path.Combine(_directory, Guid.NewGuid().ToString("N"));
}
