namespace Lamina.Cli.Images.Agent;

/// <summary>What an <see cref="Argument"/> is.</summary>
internal enum ArgumentKind
{
    Number,
    Value,
    Address,
    Constant,
    Result,
    Group,
}
