using Iced.Intel;
using Lamina.Machine.Processors;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>An observer sees every block that is translated.</summary>
public sealed class ObserverTests
{
    [Fact]
    public void Blocks_are_shown_with_their_code()
    {
        Recorder recorder = new();
        using ConformanceMachine machine = new(translates: true, options: new TranslatorOptions { Observer = recorder, HotThreshold = 10 });
        Programs.Write(machine, Map.Code, a =>
        {
            Label head = a.CreateLabel();
            a.mov(ecx, 100);
            a.Label(ref head);
            a.add(rax, rcx);
            a.dec(ecx);
            a.jne(head);
            a.hlt();
        });
        machine.Start(Programs.At(Map.Code));
        Assert.Equal(ProcessorExitReason.Halted, machine.Run());

        // Once compact, and once more because it runs often.
        Assert.Equal(2, recorder.Blocks.Count);
        foreach ((ulong rip, ulong physical, byte[] guest, _) in recorder.Blocks)
        {
            Assert.Equal((Map.Code + 5, Map.Code + 5), (rip, physical));
            Assert.Equal([0x48, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xf9], guest);
        }

        Assert.Equal(machine.Partition.Code!.HostBytes, recorder.Blocks.Sum(b => b.Host));
    }

    private sealed class Recorder : ITranslationObserver
    {
        public List<(ulong Rip, ulong Physical, byte[] Guest, int Host)> Blocks { get; } = [];

        public void Translated(in TranslatedBlock block)
        {
            Assert.NotEqual(0, block.HostAddress);
            Blocks.Add((block.Rip, block.Physical, block.GuestCode.ToArray(), block.HostCode.Length));
        }
    }
}
