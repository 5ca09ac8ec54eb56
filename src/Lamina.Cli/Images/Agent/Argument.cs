using Iced.Intel;

namespace Lamina.Cli.Images.Agent;

/// <summary>An argument of a system call: a number, a variable's value or address, or the address of a constant.</summary>
internal readonly struct Argument
{
    private Argument(ArgumentKind kind, long number, Label label)
    {
        Kind = kind;
        Number = number;
        Label = label;
    }

    public ArgumentKind Kind { get; }

    /// <summary>The number, or the variable's offset.</summary>
    public long Number { get; }

    public Label Label { get; }

    public static implicit operator Argument(long number) => new(ArgumentKind.Number, number, default);

    public static implicit operator Argument(Variable variable) => new(ArgumentKind.Value, (int)variable, default);

    public static implicit operator Argument(Label constant) => new(ArgumentKind.Constant, 0, constant);

    public static Argument AddressOf(Variable variable, int offset = 0) => new(ArgumentKind.Address, (int)variable + offset, default);

    /// <summary>A number that is in the result register.</summary>
    public static Argument Result { get; } = new(ArgumentKind.Result, 0, default);

    /// <summary>The group of a process: its number, negated.</summary>
    public static Argument GroupOf(Variable process) => new(ArgumentKind.Group, (int)process, default);
}
