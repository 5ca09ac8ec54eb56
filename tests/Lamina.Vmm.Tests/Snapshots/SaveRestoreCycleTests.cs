using System.Globalization;
using System.Text;
using Lamina.Boot;
using Lamina.Boot.Tests.Images;
using Lamina.Kvm;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Snapshots;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests.Snapshots;

/// <summary>
/// A guest that computes without end, saved and restored in the middle of its work, by turns under each accelerator, full and incremental: what it tells of its work is what it would have told
/// undisturbed, nothing is missing and nothing is there twice. <c>LAMINA_SNAPSHOT_CYCLES</c> says how often; 25 times otherwise.
/// </summary>
public sealed class SaveRestoreCycleTests : IDisposable
{
    private const string Switch = "LAMINA_SNAPSHOT_CYCLES";
    private const int Steps = 0x4000;
    private const int TableLength = 0x10000;
    private const int SumLength = 8;
    private const int ChainLength = 10;

    // x = 19660dh x + 3c6ef35fh; table[x >> 16] ^= x; sum += table[x >> 16]. After each block of 4000h steps the sum is written, as eight letters from 'a' to 'p'.
    private static readonly byte[] Work =
    [
        0xbe, 0x01, 0x00, 0x00, 0x00,             // mov esi, 1
        0x31, 0xff,                               // xor edi, edi
        0xb9, 0x00, 0x40, 0x00, 0x00,             // block: mov ecx, 4000h
        0x69, 0xf6, 0x0d, 0x66, 0x19, 0x00,       // step: imul esi, esi, 19660dh
        0x81, 0xc6, 0x5f, 0xf3, 0x6e, 0x3c,       // add esi, 3c6ef35fh
        0x89, 0xf0, 0xc1, 0xe8, 0x10,             // mov eax, esi; shr eax, 16
        0x31, 0x34, 0x85, 0x00, 0x00, 0x40, 0x00, // xor [4 eax + 400000h], esi
        0x03, 0x3c, 0x85, 0x00, 0x00, 0x40, 0x00, // add edi, [4 eax + 400000h]
        0xe2, 0xdf,                               // loop step
        0x89, 0xfb,                               // mov ebx, edi
        0xb9, 0x08, 0x00, 0x00, 0x00,             // mov ecx, 8
        0x66, 0xba, 0xf8, 0x03,                   // mov dx, 3f8h
        0x89, 0xd8, 0x24, 0x0f, 0x04, 0x61, 0xee, // letter: mov eax, ebx; and al, 15; add al, 'a'; out dx, al
        0xc1, 0xeb, 0x04,                         // shr ebx, 4
        0xe2, 0xf4,                               // loop letter
        0xeb, 0xc1,                               // jmp block
    ];

    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-cycles").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Work_that_is_saved_and_restored_over_and_over_comes_to_the_same() => Cycle(
        static cycle => cycle % 3 == 1 ? new InterpreterAccelerator() : new TranslatorAccelerator(),
        []);

    [Fact]
    public void So_does_work_that_goes_on_under_Kvm_by_turns()
    {
        using KvmAccelerator kvm = TestKvm.Create();
        Cycle(static cycle => (cycle % 4) switch { 0 or 1 => TestKvm.Create(), 2 => new InterpreterAccelerator(), _ => new TranslatorAccelerator() }, [kvm]);
    }

    private void Cycle(Func<int, IAccelerator> getAccelerator, IAccelerator[] compatible)
    {
        int cycles = int.TryParse(Environment.GetEnvironmentVariable(Switch), NumberStyles.None, CultureInfo.InvariantCulture, out int wanted) ? wanted : 25;
        StringBuilder told = new();
        Random random = new(11);
        string? path = null;
        List<string> chain = [];
        for (int cycle = 0; cycle < cycles; cycle++)
        {
            IAccelerator accelerator = getAccelerator(cycle);
            using IDisposable? held = accelerator as IDisposable;
            MemoryCharacterOutput output = new();
            using ManualResetEventSlim written = new();
            long enough = 1 + random.Next(3 * SumLength);
            output.Written += () =>
            {
                if (output.TotalWritten >= enough)
                {
                    written.Set();
                }
            };
            using VirtualMachine machine = Make(path, accelerator, output, compatible);
            machine.Start();
            Assert.True(written.Wait(TimeSpan.FromSeconds(60)), $"the guest went on no more after {cycle} cycles, and told {output.Text}");
            machine.Pause();
            bool standsAlone = chain.Count == 0 || chain.Count == ChainLength;
            string next = Path.Combine(_directory, cycle.ToString(CultureInfo.InvariantCulture));
            machine.Snapshot(next, new SnapshotOptions { Base = standsAlone ? null : BaseSnapshot.Read(path!, next), IsCompressed = cycle % 7 == 3 });
            told.Append(output.Text);
            if (standsAlone)
            {
                chain.ForEach(static old => Directory.Delete(old, recursive: true));
                chain.Clear();
            }

            chain.Add(path = next);
        }

        Assert.True(told.Length >= cycles, "the guest told too little");
        string expected = Compute((told.Length / SumLength) + 1);
        for (int at = 0; at < told.Length; at++)
        {
            Assert.True(told[at] == expected[at], $"after {at} letters the guest told '{told.ToString(at, Math.Min(16, told.Length - at))}' and should have told '{expected.AsSpan(at, Math.Min(16, expected.Length - at))}'");
        }
    }

    private static VirtualMachine Make(string? path, IAccelerator accelerator, MemoryCharacterOutput output, IAccelerator[] compatible)
    {
        if (path == null)
        {
            return new VirtualMachine(TestMachine.Settings(accelerator) with
            {
                CompatibleWith = compatible,
                Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create(Work, 0x20_0000), "program") },
                Serial0 = output,
            });
        }

        using MachineSnapshot snapshot = MachineSnapshot.Open(path);
        return new VirtualMachine(SnapshotSettings.Create(snapshot, accelerator) with { Serial0 = output });
    }

    private static string Compute(int blocks)
    {
        StringBuilder text = new();
        uint[] table = new uint[TableLength];
        uint x = 1;
        uint sum = 0;
        for (int block = 0; block < blocks; block++)
        {
            for (int step = 0; step < Steps; step++)
            {
                x = unchecked((x * 0x19660d) + 0x3c6ef35f);
                table[x >> 16] ^= x;
                sum = unchecked(sum + table[x >> 16]);
            }

            for (int letter = 0; letter < SumLength; letter++)
            {
                text.Append((char)('a' + ((sum >> (4 * letter)) & 15)));
            }
        }

        return text.ToString();
    }
}
