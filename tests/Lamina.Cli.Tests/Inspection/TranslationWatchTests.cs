using System.Globalization;
using Lamina.Cli.Arguments;
using Lamina.Cli.Inspection;
using Lamina.SoftCpu;

namespace Lamina.Cli.Tests.Inspection;

/// <summary>What is written about translated blocks.</summary>
public sealed class TranslationWatchTests : IDisposable
{
    // add rax, rcx; jmp back
    private static readonly byte[] Guest = [0x48, 0x01, 0xc8, 0xeb, 0xfb];

    // add rax, rcx; a call with eight bytes of data behind it; ret
    private static readonly byte[] Host = [0x48, 0x01, 0xc8, 0xe8, 0x10, 0, 0, 0, 0x00, 0x10, 0x60, 0x80, 0xff, 0xff, 0xff, 0xff, 0xc3];
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-inspection-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_dump_has_both_sides_and_the_data_behind_calls()
    {
        string path = Path.Combine(_directory, "blocks");
        using (TranslationWatch watch = TranslationWatch.Create(new TranslatorInspection { DumpFile = path }))
        {
            watch.Translated(Block());
        }

        string[] lines = File.ReadAllLines(path);
        Assert.Equal("block 1: guest ffffffff80601000, physical 601000, 5 bytes; host 7f0000001000, 17 bytes", lines[0]);
        string[] words = [.. lines[1..].Select(l => string.Join(' ', l.Split(' ', StringSplitOptions.RemoveEmptyEntries)))];
        Assert.Equal(
            [
                "ffffffff80601000 4801c8 add rax,rcx",
                "ffffffff80601003 ebfb jmp short 0FFFFFFFF80601000h",
                "host:",
                "00007f0000001000 4801c8 add rax,rcx",
                "00007f0000001003 e810000000 call 00007F0000001018h",
                "00007f0000001008 00106080ffffffff data",
                "00007f0000001010 c3 ret",
                "",
                "1 blocks, 5 guest bytes, 17 host bytes: 3.4 for one. 1.58 us a block in the median, 1.50 in the mean.",
            ],
            words);
    }

    [Fact]
    public void A_map_has_start_size_and_name_and_keeps_what_the_file_had()
    {
        string path = Path.Combine(_directory, "map");
        File.WriteAllText(path, "1000 10 other\n");
        using (PerfMap map = new(path))
        {
            map.Translated(Block());
        }

        Assert.Equal("1000 10 other\n7f0000001000 11 guest:ffffffff80601000\n", File.ReadAllText(path));
    }

    [Fact]
    public void Blocks_are_counted_and_nothing_is_said_of_them_unless_asked_for()
    {
        using TranslationWatch watch = TranslationWatch.Create(new TranslatorInspection());
        watch.Options.Observer!.Translated(Block());
        watch.Options.Observer!.Translated(Block());
        Assert.Equal(2UL, watch.Counts.Count);
        Assert.Equal(2UL * (ulong)Guest.Length, watch.Counts.GuestBytes);
        Assert.Null(watch.Summary);
    }

    [Fact]
    public void A_file_that_cannot_be_written_is_named()
    {
        string path = Path.Combine(_directory, "absent", "blocks");
        LaminaException problem = Assert.Throws<LaminaException>(() => TranslationWatch.Create(new TranslatorInspection { DumpFile = path }));
        Assert.StartsWith(string.Create(CultureInfo.InvariantCulture, $"'{path}' cannot be written: "), problem.Message, StringComparison.Ordinal);
    }

    private static TranslatedBlock Block()
    {
        return new TranslatedBlock { Rip = 0xffff_ffff_8060_1000, Physical = 0x60_1000, GuestCode = Guest, HostAddress = unchecked((nint)0x7f00_0000_1000), HostCode = Host, Duration = TimeSpan.FromMicroseconds(1.5), CallData = new Dictionary<nint, int> { [unchecked((nint)0x7f00_0000_1018)] = 8 } };
    }
}
