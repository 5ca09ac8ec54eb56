using Lamina.Conformance.Processors;
using Lamina.Interop.Kvm;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Processors;

namespace Lamina.Kvm.Tests;

/// <summary>Writes that KVM takes without leaving the guest: doorbells, and writes that it gathers.</summary>
public sealed class DoorbellTests
{
    private const ulong BellAddress = Layout.Device + 0x2000;

    // mov edi, BellAddress; loop: mov [rdi], ax; dec ecx; jnz loop; hlt
    private static readonly byte[] RingLoop = [0xbf, 0x00, 0x20, 0x00, 0x80, 0x66, 0x89, 0x07, 0xff, 0xc9, 0x75, 0xf9, 0xf4];

    [KvmFact]
    public void ADoorbellRingsWithoutAnExit()
    {
        using KvmAccelerator accelerator = new(TestOptions.NoControllers);
        using ProcessorMachine machine = Create(accelerator);
        using BellWindow window = new();
        machine.Settings.Mmio.Map("bell", BellAddress, 0x1000, window);
        Run(machine, 100);
        window.WaitForRing();
        Assert.Equal(0, window.Writes);
        Assert.InRange(machine.Processor.Counters.Exits, 1UL, 5UL);
        Assert.InRange(((KvmPartition)machine.Partition).Rings, 1UL, 100UL);
    }

    [KvmFact]
    public void ADoorbellFollowsItsWindow()
    {
        using KvmAccelerator accelerator = new(TestOptions.NoControllers);
        using ProcessorMachine machine = Create(accelerator);
        using BellWindow window = new();
        AddressMapping mapping = machine.Settings.Mmio.Map("bell", BellAddress + 0x10_0000, 0x1000, window, enabled: false);

        // Nobody is there.
        Run(machine, 3);
        Assert.InRange(machine.Processor.Counters.Exits, 4UL, 10UL);
        machine.Settings.Mmio.Update(mapping, BellAddress, enabled: true);
        Run(machine, 1);
        window.WaitForRing();

        // Another width is an ordinary write.
        machine.Write(Layout.Code, [0xbf, 0x00, 0x20, 0x00, 0x80, 0x89, 0x07, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.Equal(1, window.Writes);
        machine.Settings.Mmio.Update(mapping, BellAddress, enabled: false);
        ulong before = machine.Processor.Counters.Exits;
        Run(machine, 3);
        Assert.InRange(machine.Processor.Counters.Exits - before, 4UL, 10UL);
        Assert.Equal(1, window.Writes);
    }

    [KvmFact]
    public void ADoorbellThatKvmRefusesIsAnOrdinaryWrite()
    {
        TestCalls calls = new() { Answer = (r, _, _) => r == KvmRequest.SetDoorbell ? -28 : null };
        using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers);
        using ProcessorMachine machine = Create(accelerator);
        using BellWindow window = new();
        machine.Settings.Mmio.Map("bell", BellAddress, 0x1000, window);
        Run(machine, 10);
        Assert.Equal(10, window.Writes);
    }

    [KvmFact]
    public void WhatWasRungBeforeTheEndIsHeard()
    {
        using KvmAccelerator accelerator = new(TestOptions.NoControllers);
        using BellWindow window = new();
        for (int n = 0; n < 20; n++)
        {
            using (ProcessorMachine machine = Create(accelerator))
            {
                machine.Settings.Mmio.Map("bell", BellAddress, 0x1000, window);
                Run(machine, 1);
            }

            Assert.Equal(n + 1, window.Rings);
        }
    }

    [KvmFact]
    public void GatheredWritesComeInOrderBeforeTheNextAccess()
    {
        using KvmAccelerator accelerator = new(TestOptions.NoControllers);
        using ProcessorMachine machine = Create(accelerator);
        GatheredWindow window = new();
        machine.Settings.Ports.Map("gathered", 0x80, 1, window);
        List<byte> seen = [];
        machine.Device.Accessed = () => seen.AddRange(window.Values);

        // mov edx, 500h; mov al, 1; out 80h, al; mov al, 2; out 80h, al; out dx, al; then more than the ring holds: mov ecx, 400; loop: out 80h, al; dec ecx; jnz loop; hlt
        machine.Write(Layout.Code, [0xba, 0, 5, 0, 0, 0xb0, 1, 0xe6, 0x80, 0xb0, 2, 0xe6, 0x80, 0xee, 0xb9, 0x90, 1, 0, 0, 0xe6, 0x80, 0xff, 0xc9, 0x75, 0xfa, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        machine.Save();
        Assert.Equal([1, 2], seen);
        Assert.Equal(402, window.Values.Count);
        Assert.InRange(machine.Processor.Counters.Exits, 2UL, 20UL);
    }

    private static ProcessorMachine Create(KvmAccelerator accelerator) => new(accelerator, accelerator.Restrict(ProcessorMachine.Features), accelerator.TscFrequency ?? 1_000_000_000);

    private static void Run(ProcessorMachine machine, ulong writes)
    {
        machine.Write(Layout.Code, RingLoop);
        machine.StartLong(Layout.Code, 0);
        ProcessorState state = machine.Save();
        state.GeneralRegisters[1] = writes;
        Assert.True(machine.Processor.Restore(state));
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
    }

    private sealed class BellWindow : IDoorbellWindow, IDoorbellTarget, IDisposable
    {
        private readonly Doorbell[] _doorbells;
        private readonly ManualResetEventSlim _rung = new();
        private int _rings;

        public BellWindow() => _doorbells = [new Doorbell(0, 2, this, 7)];

        public int Writes { get; private set; }

        public int Rings => Volatile.Read(ref _rings);

        public ReadOnlySpan<Doorbell> Doorbells => _doorbells;

        public void WaitForRing() => Assert.True(_rung.Wait(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken), "the doorbell was not rung");

        public void Ring(int number)
        {
            Interlocked.Increment(ref _rings);
            if (number == 7)
            {
                _rung.Set();
            }
        }

        public AccessResult Read(ulong offset, Span<byte> data) => AccessResult.Unclaimed;

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            Writes++;
            return AccessResult.Done;
        }

        public void Dispose() => _rung.Dispose();
    }

    private sealed class GatheredWindow : IGatheredWindow
    {
        public List<byte> Values { get; } = [];

        public AccessResult Read(ulong offset, Span<byte> data) => AccessResult.Unclaimed;

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            Values.Add(data[0]);
            return AccessResult.Done;
        }
    }
}
