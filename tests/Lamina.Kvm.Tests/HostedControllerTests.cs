using System.Buffers.Binary;
using Lamina.Conformance.Processors;
using Lamina.Interop.Kvm;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;

namespace Lamina.Kvm.Tests;

/// <summary>What KVM's interface has beside running: its interrupt controllers, events, clock and dirty rings.</summary>
public sealed class HostedControllerTests
{
    private const uint SoftwareEnabled = 0xfee0_00f0;

    public static TheoryData<KvmControllers, bool> Ways => new()
    {
        { KvmControllers.Split, false },
        { KvmControllers.Split, true },
        { KvmControllers.On, false },
        { KvmControllers.On, true },
    };

    [KvmTheory]
    [MemberData(nameof(Ways))]
    public void MessagesArriveDirectlyOrAsEvents(KvmControllers controllers, bool events)
    {
        const int First = 0x20;
        const int Last = 0x7f;
        TestCalls calls = new();
        if (events)
        {
            calls.Answer = static (r, _, argument) => r == KvmRequest.CheckExtension && argument == KvmCapability.Messages ? 0 : null;
        }

        using KvmAccelerator accelerator = new(calls, new KvmOptions { Controllers = controllers });
        using ProcessorMachine machine = Create(accelerator);

        // mov [fee000f0h], 1ffh; mov edx, 500h; out dx, al; three times: wait: cmp [IRR], -1; jne wait; out dx, al; jmp $
        machine.Write(
            Layout.Code,
            [
                0xc7, 0x05, .. Bytes(SoftwareEnabled), .. Bytes(0x1ff), 0xba, 0, 5, 0, 0, 0xee,
                0x83, 0x3d, .. Bytes(0xfee0_0210), 0xff, 0x75, 0xf7,
                0x83, 0x3d, .. Bytes(0xfee0_0220), 0xff, 0x75, 0xf7,
                0x83, 0x3d, .. Bytes(0xfee0_0230), 0xff, 0x75, 0xf7,
                0xee, 0xeb, 0xfe,
            ]);
        machine.StartProtected(Layout.Code);
        IHostedInterrupts interrupts = machine.Partition.HostedInterrupts!;
        Assert.Equal(controllers == KvmControllers.On, interrupts.HasLineControllers);
        machine.Device.Accessed = () =>
        {
            if (machine.Device.Count > 1)
            {
                machine.Processor.RequestExit();
                return;
            }

            // More than there are routes at a time.
            for (uint vector = First; vector <= Last; vector++)
            {
                Assert.True(interrupts.Send(0xfee0_0000, vector));
            }
        };
        Assert.Equal(ProcessorExitReason.Requested, machine.Run().Reason);
        Assert.Equal(2, machine.Device.Count);
        Assert.Equal(events, calls.Count(KvmRequest.SendMessage) == 0);
        Assert.Equal(events, calls.Count(KvmRequest.SetInterruptEvent) > KvmMessageEvents.Capacity);
    }

    [KvmFact]
    public void APulseOfTheNonMaskableWireGoesByItsLocalVector()
    {
        using KvmAccelerator accelerator = new(new KvmOptions { Controllers = KvmControllers.Split });
        CpuidEntry[] features = [.. ProcessorMachine.Features.Select(static e => e.Leaf == 1 ? e with { Ecx = e.Ecx | (1 << 21) } : e)];
        using ProcessorMachine machine = new(accelerator, accelerator.Restrict(features), accelerator.TscFrequency ?? 1_000_000_000);

        // x2APIC mode by IA32_APIC_BASE; switched on by software; out dx, al, with the wire's vector masked; the vector is an NMI; out dx, al; jmp $
        machine.Write(
            Layout.Code,
            [
                0xb9, .. Bytes(0x1b), 0xb8, .. Bytes(0xfee0_0d00), 0x31, 0xd2, 0x0f, 0x30,
                0xb9, .. Bytes(0x80f), 0xb8, .. Bytes(0x1ff), 0x31, 0xd2, 0x0f, 0x30,
                0xba, 0, 5, 0, 0, 0xee,
                0xb9, .. Bytes(0x836), 0xb8, .. Bytes(0x400), 0x31, 0xd2, 0x0f, 0x30,
                0xba, 0, 5, 0, 0, 0xee, 0xeb, 0xfe,
            ]);

        // The handler: mov edx, 508h; out dx, al; jmp $
        machine.Write(Layout.Handlers + 0x20, [0xba, 8, 5, 0, 0, 0xee, 0xeb, 0xfe]);
        machine.StartLong(Layout.Code, 0);
        machine.Device.Accessed = () =>
        {
            if (machine.Device.Count <= 2)
            {
                machine.Partition.HostedInterrupts!.PulseNonMaskable();
            }
            else
            {
                machine.Processor.RequestExit();
            }
        };
        Assert.Equal(ProcessorExitReason.Requested, machine.Run().Reason);
        Assert.Equal(3, machine.Device.Count);
        Assert.InRange(machine.Save().Rip, Layout.Handlers + 0x20, Layout.Handlers + 0x28);
    }

    [KvmFact]
    public void TheParavirtualClockShowsTheMachineClock()
    {
        const ulong Place = 0x20_0000;
        using KvmAccelerator accelerator = new(new KvmOptions { Controllers = KvmControllers.Split, Clock = true });
        Assert.NotEmpty(accelerator.Extras);
        using ProcessorMachine machine = new(accelerator, accelerator.Restrict([.. ProcessorMachine.Features, .. accelerator.Extras]), accelerator.TscFrequency ?? 1_000_000_000);

        // mov ecx, 4b564d01h; mov eax, 200001h; xor edx, edx; wrmsr; mov edx, 500h; out dx, al; out dx, al; jmp $
        machine.Write(Layout.Code, [0xb9, .. Bytes(KvmMsrs.SystemTime), 0xb8, .. Bytes((uint)Place + 1), 0x31, 0xd2, 0x0f, 0x30, 0xba, 0, 5, 0, 0, 0xee, 0xee, 0xeb, 0xfe]);
        machine.StartProtected(Layout.Code);
        machine.Device.Accessed = () =>
        {
            if (machine.Device.Count == 2)
            {
                machine.Processor.RequestExit();
            }
        };
        Assert.Equal(ProcessorExitReason.Requested, machine.Run().Reason);
        ReadOnlySpan<byte> clock = machine.Ram.Slice((int)Place, 32);
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(clock);
        Assert.True(version != 0 && version % 2 == 0, $"version {version}");
        ulong time = BinaryPrimitives.ReadUInt64LittleEndian(clock[16..]);
        Assert.InRange(time, 1_000_000_000UL, 61_000_000_000UL);

        // It is part of the state, and an accelerator without it does not take the machine.
        Assert.Contains(machine.Save().Msrs, m => m == new MsrValue(KvmMsrs.SystemTime, Place + 1));
        using KvmAccelerator plain = new(new KvmOptions { Controllers = KvmControllers.Split });
        Assert.DoesNotContain(plain.Restrict(machine.Settings.Cpuid), static e => ParavirtualLeaves.Contains(e.Leaf));
        Assert.Equal(machine.Settings.Cpuid, accelerator.Restrict(machine.Settings.Cpuid));
    }

    [KvmFact]
    public void WritesOfTheGuestAreLoggedInRings()
    {
        TestCalls calls = new();
        using KvmAccelerator accelerator = new(calls, TestOptions.NoControllers with { DirtyRings = true });
        using ProcessorMachine machine = Create(accelerator);
        KvmPartition partition = (KvmPartition)machine.Partition;
        Assert.SkipUnless(partition.HasDirtyRings, "This KVM has no dirty rings (KVM_CAP_DIRTY_LOG_RING_ACQ_REL).");

        // mov [180000h], eax; mov [200000h], eax; hlt
        machine.Write(Layout.Code, [0x89, 0x04, 0x25, 0, 0, 0x18, 0, 0x89, 0x04, 0x25, 0, 0, 0x20, 0, 0xf4]);
        machine.StartLong(Layout.Code, 0);
        partition.SetDirtyLog(true);
        partition.CollectDirtyPages();
        machine.Memory.RemovePageAttributes(Layout.Data, PageAttributes.Dirty);
        machine.Memory.RemovePageAttributes(0x20_0000, PageAttributes.Dirty);

        // Before the last of it a ring is full.
        unsafe
        {
            KvmRun* run = ((KvmProcessor)machine.Processor).SharedPage;
            int before = calls.Count(KvmRequest.Run);
            calls.Answer = (r, n, _) =>
            {
                if (r != KvmRequest.Run || n != before)
                {
                    return null;
                }

                run->ExitReason = (uint)KvmExitReason.DirtyRingFull;
                return 0;
            };
        }

        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.InRange(partition.CollectDirtyPages(), 2UL, 20UL);
        Assert.True(IsDirty(machine, Layout.Data));
        Assert.True(IsDirty(machine, 0x20_0000));
        Assert.False(IsDirty(machine, 0x30_0000));
        Assert.Equal(0UL, partition.CollectDirtyPages());

        // A page that was given back is logged again.
        machine.Memory.RemovePageAttributes(Layout.Data, PageAttributes.Dirty);
        machine.StartLong(Layout.Code, 0);
        Assert.Equal(ProcessorExitReason.Halted, machine.Run().Reason);
        Assert.InRange(partition.CollectDirtyPages(), 2UL, 20UL);
        Assert.True(IsDirty(machine, Layout.Data));
    }

    [KvmFact]
    public void MissingCapabilitiesAreRefusedByNameAndAutoDoesWithout()
    {
        foreach ((int capability, string name) in new[] { (KvmCapability.SplitControllers, "KVM_CAP_SPLIT_IRQCHIP"), (KvmCapability.RunStates, "KVM_CAP_MP_STATE"), (KvmCapability.Routes, "KVM_CAP_IRQ_ROUTING") })
        {
            TestCalls calls = new() { Answer = (r, _, argument) => r == KvmRequest.CheckExtension && argument == capability ? 0 : null };
            string message = Assert.Throws<NotSupportedException>(() => new KvmAccelerator(calls, new KvmOptions { Controllers = KvmControllers.Split })).Message;
            Assert.Contains(name, message, StringComparison.Ordinal);
            using KvmAccelerator accelerator = new(calls);
            Assert.Equal(KvmControllers.Off, accelerator.Controllers);
        }

        using KvmAccelerator best = new();
        Assert.NotEqual(KvmControllers.Auto, best.Controllers);
    }

    [KvmFact]
    public void ALocalTimerOfAnotherFrequencyKeepsTheControllersHere()
    {
        using KvmAccelerator accelerator = new();
        Assert.SkipUnless(accelerator.Controllers == KvmControllers.Split, "This KVM has no split interrupt controllers.");
        using ProcessorMachine machine = Create(accelerator);
        Assert.NotNull(machine.Partition.HostedInterrupts);
        using (IPartition partition = accelerator.CreatePartition(machine.Settings with { LocalTimerFrequency = 2_095_077_123 }))
        {
            Assert.Null(partition.HostedInterrupts);
        }

        using KvmAccelerator strict = new(new KvmOptions { Controllers = KvmControllers.Split });
        Assert.Contains("2095077123 Hz", Assert.Throws<NotSupportedException>(() => strict.CreatePartition(machine.Settings with { LocalTimerFrequency = 2_095_077_123 })).Message, StringComparison.Ordinal);
    }

    [KvmFact]
    public void ALocalApicThatCannotBeHandedOverIsRefused()
    {
        using KvmAccelerator accelerator = new(new KvmOptions { Controllers = KvmControllers.Split });
        using ProcessorMachine machine = Create(accelerator);
        Assert.Throws<ArgumentException>(() => machine.Connect());
    }

    private static ProcessorMachine Create(KvmAccelerator accelerator) => new(accelerator, accelerator.Restrict(ProcessorMachine.Features), accelerator.TscFrequency ?? 1_000_000_000);

    private static byte[] Bytes(uint value) => BitConverter.GetBytes(value);

    private static unsafe bool IsDirty(ProcessorMachine machine, ulong address) => (*machine.Memory.GetPageAttributes(address) & (byte)PageAttributes.Dirty) != 0;
}
