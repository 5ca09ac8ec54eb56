using System.Runtime.CompilerServices;

namespace Lamina.Machine.Personalities;

/// <summary>The registers of a processor whose guest asks the hypervisor for something: a hypercall, or a port that answers in registers. What is written to them is what the guest finds.</summary>
public readonly ref struct GuestCall
{
    /// <summary>RAX in <see cref="Registers"/>.</summary>
    public const int Rax = 0;

    /// <summary>RCX.</summary>
    public const int Rcx = 1;

    /// <summary>RDX.</summary>
    public const int Rdx = 2;

    /// <summary>RBX.</summary>
    public const int Rbx = 3;

    /// <summary>RBP.</summary>
    public const int Rbp = 5;

    /// <summary>RSI.</summary>
    public const int Rsi = 6;

    /// <summary>RDI.</summary>
    public const int Rdi = 7;

    /// <summary>R8.</summary>
    public const int R8 = 8;

    /// <summary>R9.</summary>
    public const int R9 = 9;

    /// <summary>R10.</summary>
    public const int R10 = 10;

    private readonly ref GuestCallEnd _end;

    /// <summary>Makes one.</summary>
    /// <param name="processor">Which processor.</param>
    /// <param name="registers">Its registers.</param>
    /// <param name="privilegeLevel">0 for the kernel to 3 for programs.</param>
    /// <param name="is64Bit">Whether it is in 64-bit mode.</param>
    /// <param name="translation">Translates linear addresses.</param>
    /// <param name="caller">What else the processor can do for the call.</param>
    public GuestCall(
        int processor,
        Span<ulong> registers,
        int privilegeLevel,
        bool is64Bit,
        ILinearTranslation? translation = null,
        ICallingProcessor? caller = null)
    {
        Translation = translation;
        Caller = caller;
        Processor = processor;
        Registers = registers;
        PrivilegeLevel = privilegeLevel;
        Is64Bit = is64Bit;
    }

    /// <summary>Makes the same call of a processor that can wait.</summary>
    /// <param name="call">The call.</param>
    /// <param name="end">Set by <see cref="Wait"/>, <see cref="Halt"/> and <see cref="Continue"/>.</param>
    public GuestCall(GuestCall call, ref GuestCallEnd end)
    {
        this = call;
        _end = ref end;
    }

    /// <summary>Which processor.</summary>
    public int Processor { get; }

    /// <summary>RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.</summary>
    public Span<ulong> Registers { get; }

    /// <summary>Translates addresses that the guest passes; null if it passes none that are linear.</summary>
    public ILinearTranslation? Translation { get; }

    /// <summary>What else the processor can do for the call; null if nothing.</summary>
    public ICallingProcessor? Caller { get; }

    /// <summary>0 for the kernel to 3 for programs.</summary>
    public int PrivilegeLevel { get; }

    /// <summary>The processor is in 64-bit mode.</summary>
    public bool Is64Bit { get; }

    /// <summary>Whether <see cref="Wait"/>, <see cref="Halt"/> and <see cref="Continue"/> have an effect.</summary>
    public bool CanWait => !Unsafe.IsNullRef(ref _end);

    /// <summary>Of a hypercall: the processor is to halt, and to execute the instruction again after an interrupt or a kick. The registers must be as they were.</summary>
    public void Wait() => End(GuestCallEnd.Repeat);

    /// <summary>Of a hypercall that is done: the processor is to halt until an interrupt comes, masked or not, or a kick.</summary>
    public void Halt() => End(GuestCallEnd.Halt);

    /// <summary>Of a hypercall that has done a part of its work: the processor is to execute the instruction again, whose registers say what is left.</summary>
    public void Continue() => End(GuestCallEnd.Continue);

    /// <summary>A register as the mode sees it.</summary>
    public ulong Get(int register) => Is64Bit ? Registers[register] : (uint)Registers[register];

    /// <summary>Writes the lower half of a register, which clears the upper one.</summary>
    public void Set32(int register, uint value) => Registers[register] = value;

    private void End(GuestCallEnd end)
    {
        if (CanWait)
        {
            _end = end;
        }
    }
}
