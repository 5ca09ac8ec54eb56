namespace Lamina.Cli;

/// <summary>What the program's exit status says. A command in the guest may give any other.</summary>
internal static class ExitStatus
{
    /// <summary>The guest powered off, or the person ended it.</summary>
    public const int Success = 0;

    /// <summary>Lamina could not start or run the machine, or did not understand its arguments.</summary>
    public const int Failure = 125;

    /// <summary>The guest crashed: a triple fault, or a panic that it reported.</summary>
    public const int GuestCrashed = 134;

    /// <summary>Ended by a signal: this plus its number, as a shell says it.</summary>
    public const int SignalBase = 128;
}
