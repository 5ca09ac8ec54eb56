using Lamina.Boot;
using Lamina.Boot.Tests.Images;
using Lamina.SoftCpu;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests;

/// <summary>Whole machines on the interpreter, with programs of a few instructions (32-bit protected mode, entered by PVH at 0x200000).</summary>
public sealed class InterpreterTests
{
    [Fact]
    public void AProgramWritesToTheSerialPortAndLeavesByTheExitDevice()
    {
        byte[] program =
        [
            0x66, 0xba, 0xf8, 0x03,        // mov dx, 0x3f8
            0xb0, (byte)'h', 0xee,         // mov al, 'h'; out dx, al
            0xb0, (byte)'i', 0xee,         // mov al, 'i'; out dx, al
            0xb8, 0x2a, 0x00, 0x00, 0x00,  // mov eax, 42
            0xe7, 0xf4,                    // out 0xf4, eax
            0xf4,                          // hlt
        ];
        MemoryCharacterOutput output = new();
        Assert.Equal(new MachineResult(MachineOutcome.TestExit, 42), Run(program, output));
        Assert.Equal("hi", output.Text);
    }

    [Fact]
    public void WithTestDevicesAMultibootImageFindsItsMagicAndItsProcessorsAndEndsAsUnderQemu()
    {
        byte[] program =
        [
            0x3d, 0x02, 0xb0, 0xad, 0x2b,  // cmp eax, 0x2badb002
            0x75, 0x14,                    // jne fail
            0xb8, 0x05, 0x00, 0x00, 0x00,  // mov eax, 5
            0x66, 0xba, 0x10, 0x05,        // mov dx, 0x510
            0x66, 0xef,                    // out dx, ax
            0x66, 0x42,                    // inc dx
            0x31, 0xc0, 0xec,              // xor eax, eax; in al, dx
            0xe7, 0xf4,                    // out 0xf4, eax
            0xf4,                          // hlt
            0x31, 0xc0,                    // fail: xor eax, eax
            0xe7, 0xf4,                    // out 0xf4, eax
            0xf4,                          // hlt
        ];
        using VirtualMachine machine = new(TestMachine.Settings(new InterpreterAccelerator()) with
        {
            Boot = new BootSource { Kernel = BootImage.FromBytes(MultibootImageBuilder.Create(program), "program") },
            HasTestDevices = true,
            ProcessorCount = 3,
        });
        machine.Start();
        Assert.Equal(new MachineResult(MachineOutcome.TestExit, 7), machine.WaitForEndSoon());
    }

    [Fact]
    public void AMultibootImageMayGoBackToRealModeAndWaitForTheTimer()
    {
        byte[] program =
        [
            0x0f, 0x01, 0x15, 0xc8, 0x80, 0x00, 0x00, // lgdt [0x80c8]
            0xea, 0x90, 0x80, 0x00, 0x00, 0x08, 0x00, // jmp 8:0x8090
            0, 0,
            0x66, 0x31, 0xc0,                    // xor eax, eax (16-bit code from here)
            0x0f, 0x22, 0xc0,                    // mov cr0, eax
            0xea, 0x9b, 0x80, 0x00, 0x00,        // jmp 0:0x809b
            0x8e, 0xd8, 0x8e, 0xd0,              // mov ds, ax; mov ss, ax
            0xbc, 0x00, 0x70,                    // mov sp, 0x7000
            0x0f, 0x01, 0x1e, 0xc0, 0x80,        // lidt [0x80c0]
            0xfb, 0xf4,                          // sti; hlt
            0xcd, 0x15,                          // int 0x15
            0xa0, 0x6c, 0x04,                    // mov al, [0x46c]
            0xe6, 0xf4,                          // out 0xf4, al
            0xf4,                                // hlt
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0xff, 0x03, 0, 0, 0, 0, 0, 0,        // 0x80c0: the vectors' limit and base
            0x0f, 0x00, 0xd0, 0x80, 0, 0, 0, 0,  // 0x80c8: the descriptors'
            0, 0, 0, 0, 0, 0, 0, 0,
            0xff, 0xff, 0, 0, 0, 0x9b, 0, 0,     // 16-bit code
        ];
        using VirtualMachine machine = new(TestMachine.Settings(new InterpreterAccelerator()) with
        {
            Boot = new BootSource { Kernel = BootImage.FromBytes(MultibootImageBuilder.Create(program, load: 0x8000), "program") },
        });
        machine.Start();
        Assert.Equal(new MachineResult(MachineOutcome.TestExit, 1), machine.WaitForEndSoon());
    }

    [Fact]
    public void TheProcessorTellsThatItHasNoBranchHistoryInjection()
    {
        byte[] program =
        [
            0xb9, 0x0a, 0x01, 0x00, 0x00,  // mov ecx, 0x10a
            0x0f, 0x32,                    // rdmsr
            0xc1, 0xe8, 0x14,              // shr eax, 20
            0x83, 0xe0, 0x01,              // and eax, 1
            0xe7, 0xf4,                    // out 0xf4, eax
            0xf4,                          // hlt
        ];
        Assert.Equal(1, Run(program).Code);
    }

    [Fact]
    public void AnInterruptWithoutATableIsATripleFault()
    {
        byte[] program =
        [
            0x0f, 0x0b,                    // ud2
        ];
        Assert.Equal(new MachineResult(MachineOutcome.Crashed, Message: "triple fault on processor 0"), Run(program));
    }

    [Fact]
    public void TypedInputReachesTheProgram()
    {
        byte[] program =
        [
            0x66, 0xba, 0xf9, 0x03,        // mov dx, 0x3f9
            0xb0, 0x01, 0xee,              // mov al, 1; out dx, al: interrupts of the receiver, which also opens it
            0x66, 0xba, 0xfd, 0x03,        // wait: mov dx, 0x3fd
            0xec, 0xa8, 0x01, 0x74, 0xf7,  // in al, dx; test al, 1; jz wait
            0x31, 0xc0,                    // xor eax, eax
            0x66, 0xba, 0xf8, 0x03, 0xec,  // mov dx, 0x3f8; in al, dx
            0xe7, 0xf4,                    // out 0xf4, eax
            0xf4,                          // hlt
        ];
        Assert.Equal('x', Run(program, input: "x").Code);
    }

    private static MachineResult Run(byte[] program, MemoryCharacterOutput? output = null, string input = "")
    {
        using VirtualMachine machine = new(TestMachine.Settings(new InterpreterAccelerator()) with
        {
            Boot = new BootSource { Kernel = BootImage.FromBytes(ElfImageBuilder.Create(program, 0x20_0000), "program") },
            Serial0 = output ?? new MemoryCharacterOutput(),
        });
        machine.Serial0.Write(System.Text.Encoding.ASCII.GetBytes(input));
        machine.Start();
        return machine.WaitForEndSoon();
    }
}
