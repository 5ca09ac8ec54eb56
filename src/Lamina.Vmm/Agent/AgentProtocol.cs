namespace Lamina.Vmm.Agent;

/// <summary>What the agent in a guest and the host's side of it agree on (docs/adr/0018-guest-agent.md). All numbers are little-endian.</summary>
public static class AgentProtocol
{
    /// <summary>The port at which the agent listens. Only a guest's root can take one of this size.</summary>
    public const uint Port = 777;

    /// <summary>The first four bytes of a request: "LAX1".</summary>
    public const int Signature = 0x3158_414c;

    /// <summary>Where a request has its flags.</summary>
    public const int FlagsOffset = 4;

    /// <summary>Where it has the rows of the terminal's window, then its columns, of 16 bits.</summary>
    public const int WindowOffset = 8;

    /// <summary>Where it has the number of arguments, the program's path being the first.</summary>
    public const int ArgumentsOffset = 12;

    /// <summary>Where it has the number of the environment's variables.</summary>
    public const int EnvironmentOffset = 16;

    /// <summary>Where it has the length of the strings that follow it: the arguments, then the variables, each with a zero byte at its end.</summary>
    public const int LengthOffset = 20;

    /// <summary>Length of a request without its strings.</summary>
    public const int RequestLength = 32;

    /// <summary>The flag of a request for a terminal.</summary>
    public const int TerminalFlag = 1;

    /// <summary>Most arguments, and most variables.</summary>
    public const int MaximumStrings = 7000;

    /// <summary>Largest length of the strings.</summary>
    public const int MaximumLength = 1 << 18;

    /// <summary>Length of a message to a command that runs: its kind, then its value.</summary>
    public const int MessageLength = 8;

    /// <summary>The message that sends a signal.</summary>
    public const int SignalMessage = 1;

    /// <summary>The message with the size of the terminal's window.</summary>
    public const int SizeMessage = 2;
}
