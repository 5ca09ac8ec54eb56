namespace Lamina.Cli.Running;

/// <summary>Finds the keys that are for Lamina among those for the guest: Ctrl-A and one more.</summary>
/// <param name="attached">Whether the console is a machine's that runs elsewhere: it can be left, and not ended.</param>
internal sealed class EscapeKeys(bool attached = false)
{
    /// <summary>Ctrl-A.</summary>
    public const byte Prefix = 1;

    /// <summary>What Ctrl-A h shows.</summary>
    public static IReadOnlyList<string> Help { get; } =
    [
        "Ctrl-A x       end the machine at once",
        "Ctrl-A h       show these keys",
        "Ctrl-A Ctrl-A  send Ctrl-A to the guest",
    ];

    /// <summary>What Ctrl-A h shows at an attached console.</summary>
    public static IReadOnlyList<string> AttachedHelp { get; } =
    [
        "Ctrl-A d       leave the console; the machine goes on",
        "Ctrl-A h       show these keys",
        "Ctrl-A Ctrl-A  send Ctrl-A to the guest",
    ];

    private bool _prefixSeen;

    /// <summary>Takes keys.</summary>
    /// <param name="keys">What was typed.</param>
    /// <param name="toGuest">Is given the keys for the guest.</param>
    /// <returns>What Lamina is asked to do. Keys after <see cref="EscapeRequest.Quit"/> are dropped.</returns>
    public EscapeRequest Process(ReadOnlySpan<byte> keys, List<byte> toGuest)
    {
        EscapeRequest request = EscapeRequest.None;
        foreach (byte key in keys)
        {
            if (!_prefixSeen)
            {
                _prefixSeen = key == Prefix;
                if (!_prefixSeen)
                {
                    toGuest.Add(key);
                }

                continue;
            }

            _prefixSeen = false;
            switch (key)
            {
                case Prefix:
                    toGuest.Add(Prefix);
                    break;
                case (byte)'x' or (byte)'X' or 0x18 when !attached:
                case (byte)'d' or (byte)'D' or 0x04 when attached:
                    return EscapeRequest.Quit;
                default:
                    // A person who pressed something else looks for these keys.
                    request = EscapeRequest.Help;
                    break;
            }
        }

        return request;
    }
}
