using Iced.Intel;
using Lamina.Boot;
using Lamina.Boot.Tests.Images;
using Lamina.Kvm;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Tests.Fakes;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Vmm.Tests;

/// <summary>A guest of Xen's that starts its second processor by hypercalls, blocks until its timer fires, has the other go down and up, and is told how long they have waited, on real processors.</summary>
public sealed class XenProcessorTests
{
    private const uint Origin = 0x20_0000;
    private const uint LongCode = 0x1000;
    private const uint OtherCode = 0x2000;
    private const uint Descriptors = 0x3000;
    private const uint ImageLength = 0x4000;
    private const uint Tables = 0x30_0000;
    private const uint Stack = 0x31_0000;
    private const uint Calls = 0x32_0000;
    private const uint Shared = 0x33_0000;
    private const uint Argument = 0x34_0000;
    private const uint Context = 0x34_1000;
    private const uint Marker = 0x34_2000;
    private const uint OtherStack = 0x36_0000;
    private const uint Times = 0x34_3000;
    private const uint OtherTimes = 0x34_3100;
    private const uint VcpuOp = 24;
    private const uint Initialize = 0;
    private const uint Up = 1;
    private const uint Down = 2;
    private const uint IsUp = 3;

    public static TheoryData<string> Names => ["interpreter", "translator", "kvm"];

    [Theory]
    [MemberData(nameof(Names))]
    public void ProcessorsBeginBlockAndGoDown(string name)
    {
        IAccelerator accelerator = name switch
        {
            "interpreter" => new InterpreterAccelerator(),
            "translator" => new TranslatorAccelerator(),
            _ => TestKvm.Create(KvmControllers.Auto),
        };
        using VirtualMachine machine = new(TestMachine.Settings(accelerator) with
        {
            Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create(CreateImage(), Origin), "program") },
            Personality = PersonalityKind.Xen,
            ProcessorCount = 2,
            Serial0 = NullCharacterOutput.Instance,
        });
        machine.Start();
        MachineResult result = machine.WaitForEndSoon();
        Assert.Equal(MachineOutcome.TestExit, result.Outcome);

        // A bit for each thing that was as it should be.
        Assert.Equal(0xff, result.Code);
        (accelerator as IDisposable)?.Dispose();
    }

    private static byte[] CreateImage()
    {
        byte[] image = new byte[ImageLength];
        Assemble(32, 0, EnterLongMode).CopyTo(image, 0);
        Assemble(64, LongCode, RunFirst).CopyTo(image, LongCode);
        Assemble(64, OtherCode, RunOther).CopyTo(image, OtherCode);
        ulong[] descriptors = [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
        for (int i = 0; i < descriptors.Length; i++)
        {
            BitConverter.TryWriteBytes(image.AsSpan((int)Descriptors + (8 * i)), descriptors[i]);
        }

        BitConverter.TryWriteBytes(image.AsSpan((int)Descriptors + 0x100), (ushort)23);
        BitConverter.TryWriteBytes(image.AsSpan((int)Descriptors + 0x102), Origin + Descriptors);
        return image;
    }

    private static byte[] Assemble(int bits, uint offset, Action<Assembler> body)
    {
        Assembler c = new(bits);
        body(c);
        using MemoryStream stream = new();
        c.Assemble(new StreamCodeWriter(stream), Origin + offset);
        return stream.ToArray();
    }

    // The first GiB as it is, in large pages.
    private static void EnterLongMode(Assembler c)
    {
        Label loop = c.CreateLabel();
        c.cli();
        c.mov(edi, Tables + 0x2000);
        c.mov(eax, 0x83);
        c.mov(ecx, 512);
        c.Label(ref loop);
        c.mov(__dword_ptr[edi], eax);
        c.add(eax, 0x20_0000);
        c.add(edi, 8);
        c.dec(ecx);
        c.jnz(loop);
        c.mov(__dword_ptr[Tables], Tables + 0x1003);
        c.mov(__dword_ptr[Tables + 0x1000], Tables + 0x2003);
        c.lgdt(__[Origin + Descriptors + 0x100]);
        c.mov(eax, 0x20);
        c.mov(cr4, eax);
        c.mov(eax, Tables);
        c.mov(cr3, eax);
        c.mov(ecx, 0xc000_0080);
        c.mov(eax, 0x100);
        c.xor(edx, edx);
        c.wrmsr();
        c.mov(eax, 0x8000_0011);
        c.mov(cr0, eax);
        c.mov(eax, 0x10);
        c.mov(ds, eax);
        c.mov(es, eax);
        c.mov(ss, eax);
        c.mov(esp, Stack);
        c.push(8);
        c.push(Origin + LongCode);
        c.retf();
    }

    private static void RunFirst(Assembler c)
    {
        const uint MemoryOp = 12;
        const uint SetTimerOp = 15;
        const uint SchedOp = 29;
        const uint EventChannelOp = 32;
        const ulong Deadline = 500_000_000;
        const int MostBlocks = 3;
        c.xor(ebx, ebx);
        c.mov(ecx, 0x4000_0000);
        c.mov(eax, Calls);
        c.xor(edx, edx);
        c.wrmsr();

        // The shared page.
        c.mov(__dword_ptr[Argument], 0x7ff0);
        c.mov(__dword_ptr[Argument + 16], Shared >> 12);
        Call(c, MemoryOp, 7, Argument);

        // Where their times are wanted.
        const uint Register = 5;
        c.mov(__dword_ptr[Argument], Times);
        c.mov(__dword_ptr[Argument + 4], 0);
        Call(c, VcpuOp, Register, 0, Argument);
        c.mov(__dword_ptr[Argument], OtherTimes);
        Call(c, VcpuOp, Register, 1, Argument);

        // The other processor waits; it begins as it is told.
        Call(c, VcpuOp, IsUp, 1);
        Note(c, 0, 0);
        foreach ((uint offset, uint value) in new (uint, uint)[] { (0, 1), (8 + 32, OtherStack), (8 + 64, Origin + OtherCode), (8 + 80, 0x8000_0011u), (8 + 88, Tables), (8 + 96, 0x20u), (8 + 104, 0x100u) })
        {
            c.mov(__dword_ptr[Context + offset], value);
        }

        Call(c, VcpuOp, Initialize, 1, Context);
        Note(c, 1, 0);
        AwaitOffline(c);
        Call(c, VcpuOp, Up, 1);
        Note(c, 2, 0);
        Await(c, 0x77);

        // It has gone down by itself. Up again, it goes on where it was.
        Label goesDown = c.CreateLabel();
        c.Label(ref goesDown);
        Call(c, VcpuOp, IsUp, 1);
        c.test(eax, eax);
        c.jnz(goesDown);
        Note(c, 3, 0);
        AwaitOffline(c);
        Call(c, VcpuOp, Up, 1);
        Await(c, 0x88);
        Note(c, 4, 0x88);

        // Blocks until its timer's event, with interrupts masked and no vector.
        Label blocks = c.CreateLabel();
        Label pending = c.CreateLabel();
        c.mov(__dword_ptr[Argument], 0);
        c.mov(__dword_ptr[Argument + 4], 0);
        Call(c, EventChannelOp, 1, Argument);
        Note(c, 5, 0);
        c.mov(rdi, Deadline);
        c.mov(rax, Calls + (SetTimerOp * 32UL));
        c.call(rax);
        c.xor(ebp, ebp);
        c.Label(ref blocks);
        c.cmp(__byte_ptr[Shared], 0);
        c.jne(pending);
        c.inc(ebp);
        Call(c, SchedOp, 1, 0);
        c.jmp(blocks);
        c.Label(ref pending);
        c.mov(eax, ebp);
        c.cmp(eax, MostBlocks);
        c.setbe(al);
        c.movzx(eax, al);
        Note(c, 6, 1);

        // It has been blocked. The other is down in the end, as it was before, and has not.
        const uint RunnableTime = 16 + 8;
        const uint BlockedTime = 16 + 16;
        const uint OfflineTime = 16 + 24;
        AwaitOffline(c);

        // What a busy host took while it was blocked counts as runnable; and if the host took so long that the time was over before, it has not blocked.
        c.mov(rax, __qword_ptr[Times + BlockedTime]);
        c.or(rax, __qword_ptr[Times + RunnableTime]);
        c.setne(al);
        c.test(ebp, ebp);
        c.sete(cl);
        c.or(al, cl);
        c.cmp(__qword_ptr[OtherTimes + OfflineTime], 0);
        c.setne(cl);
        c.and(al, cl);
        c.cmp(__qword_ptr[OtherTimes + BlockedTime], 0);
        c.sete(cl);
        c.and(al, cl);
        c.cmp(__dword_ptr[Times], 0);
        c.sete(cl);
        c.and(al, cl);
        c.movzx(eax, al);
        Note(c, 7, 1);
        c.mov(eax, ebx);
        c.@out(0xf4, eax);
        c.hlt();
    }

    private static void RunOther(Assembler c)
    {
        Label end = c.CreateLabel();
        c.mov(__dword_ptr[Marker], 0x77);
        Call(c, VcpuOp, Down, 1);
        c.mov(__dword_ptr[Marker], 0x88);
        c.Label(ref end);
        c.hlt();
        c.jmp(end);
    }

    private static void Call(Assembler c, uint number, uint first, uint second, uint third = 0)
    {
        c.mov(edi, first);
        c.mov(esi, second);
        c.mov(edx, third);
        c.mov(rax, Calls + (number * 32UL));
        c.call(rax);
    }

    private static void Await(Assembler c, int value)
    {
        Label loop = c.CreateLabel();
        c.Label(ref loop);
        c.pause();
        c.mov(eax, __dword_ptr[Marker]);
        c.cmp(eax, value);
        c.jne(loop);
    }

    // Until the other's times say that it is down: one that is brought up before its thread stands still has waited, and not been down.
    private static void AwaitOffline(Assembler c)
    {
        const int Offline = 3;
        Label loop = c.CreateLabel();
        c.Label(ref loop);
        c.pause();
        c.mov(eax, __dword_ptr[OtherTimes]);
        c.cmp(eax, Offline);
        c.jne(loop);
    }

    // Sets a bit of EBX if EAX has a value.
    private static void Note(Assembler c, int bit, int value)
    {
        Label other = c.CreateLabel();
        c.cmp(eax, value);
        c.jne(other);
        c.or(ebx, 1 << bit);
        c.Label(ref other);
        c.nop();
    }
}
