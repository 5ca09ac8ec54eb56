using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Cli.Images.Agent;

/// <summary>
/// Writes the code of a small program for a guest: system calls over variables. The register RBP holds the variables' address all the time; the result of a call is in EAX.
/// </summary>
internal sealed class GuestCode
{
    private static readonly AssemblerRegister64[] Registers = [rdi, rsi, rdx, r10, r8];
    private static readonly AssemblerRegister32[] Halves = [edi, esi, edx, r10d, r8d];
    private readonly List<(Label Label, byte[] Content)> _constants = [];

    /// <summary>For instructions that there is no method for.</summary>
    public Assembler Assembler { get; } = new(64);

    /// <summary>A variable's place.</summary>
    public static AssemblerMemoryOperand At(Variable variable, int offset = 0) => __dword_ptr[rbp + (int)variable + offset];

    public Label NewLabel() => Assembler.CreateLabel();

    /// <summary>The next instruction's place.</summary>
    public Label Here()
    {
        Label label = NewLabel();
        Mark(label);
        return label;
    }

    public void Mark(Label label)
    {
        // An instruction has one label at most; this one is nothing, and lets others follow.
        Assembler.Label(ref label);
        Assembler.zero_bytes();
    }

    public void Begin(long variables) => Assembler.mov(rbp, variables);

    public void Go(Label target) => Assembler.jmp(target);

    /// <summary>Calls the kernel.</summary>
    public void Call(LinuxCall number, params ReadOnlySpan<Argument> arguments)
    {
        for (int i = 0; i < arguments.Length; i++)
        {
            Load(i, arguments[i]);
        }

        Assembler.mov(eax, (int)number);
        Assembler.syscall();
    }

    /// <summary>Calls the kernel, and goes elsewhere if it refuses.</summary>
    public void CallOr(Label refused, LinuxCall number, params ReadOnlySpan<Argument> arguments)
    {
        Call(number, arguments);
        Assembler.test(eax, eax);
        Assembler.js(refused);
    }

    /// <summary>Keeps the result of a call.</summary>
    public void Keep(Variable variable) => Assembler.mov(At(variable), eax);

    public void Set(Variable variable, int value, int offset = 0) => Assembler.mov(At(variable, offset), value);

    public void Copy(Variable from, int fromOffset, Variable to, int toOffset = 0)
    {
        Assembler.mov(eax, At(from, fromOffset));
        Assembler.mov(At(to, toOffset), eax);
    }

    public void GoIfEqual(Variable variable, int value, Label target, int offset = 0)
    {
        Assembler.cmp(At(variable, offset), value);
        Assembler.je(target);
    }

    public void GoUnlessEqual(Variable variable, int value, Label target, int offset = 0)
    {
        Assembler.cmp(At(variable, offset), value);
        Assembler.jne(target);
    }

    /// <summary>Goes elsewhere if a number without a sign is larger.</summary>
    public void GoIfAbove(Variable variable, int limit, Label target, int offset = 0)
    {
        Assembler.cmp(At(variable, offset), limit);
        Assembler.ja(target);
    }

    /// <summary>A constant, which stands behind the code.</summary>
    public Label Constant(ReadOnlySpan<byte> content)
    {
        Label label = NewLabel();
        _constants.Add((label, content.ToArray()));
        return label;
    }

    /// <summary>The code, and its constants.</summary>
    public byte[] Finish(ulong address)
    {
        foreach ((Label label, byte[] content) in _constants)
        {
            Mark(label);
            Assembler.db(content);
        }

        _constants.Clear();
        using MemoryStream stream = new();
        Assembler.Assemble(new StreamCodeWriter(stream), address);
        return stream.ToArray();
    }

    private void Load(int place, Argument argument)
    {
        switch (argument.Kind)
        {
            case ArgumentKind.Number when argument.Number == 0:
                Assembler.xor(Halves[place], Halves[place]);
                break;
            case ArgumentKind.Number:
                Assembler.mov(Registers[place], argument.Number);
                break;
            case ArgumentKind.Value:
                Assembler.movsxd(Registers[place], At((Variable)argument.Number));
                break;
            case ArgumentKind.Address:
                Assembler.lea(Registers[place], __[rbp + argument.Number]);
                break;
            case ArgumentKind.Constant:
                Assembler.lea(Registers[place], __[argument.Label]);
                break;
            case ArgumentKind.Result:
                Assembler.movsxd(Registers[place], eax);
                break;
            case ArgumentKind.Group:
                Assembler.movsxd(Registers[place], At((Variable)argument.Number));
                Assembler.neg(Registers[place]);
                break;
        }
    }
}
