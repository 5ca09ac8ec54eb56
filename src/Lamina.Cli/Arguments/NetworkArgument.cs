using System.Globalization;
using System.Net;
using Lamina.Interop.Networks;
using Lamina.Machine.Limits;
using Lamina.Networking;
using Lamina.Vmm;

namespace Lamina.Cli.Arguments;

/// <summary>The values of <c>--net</c> and <c>--publish</c>.</summary>
internal static class NetworkArgument
{
    private static readonly string[] Kinds = ["user", "tap=NAME", "bridge=NAME", "none"];
    private static readonly string[] Settings = ["queues=N", "pps=N", "bps=SIZE", "burst=MILLISECONDS"];

    /// <summary>What the options ask for together.</summary>
    /// <exception cref="LaminaException">They are not acceptable.</exception>
    public static IReadOnlyList<NetworkSettings> Parse(string? net, IReadOnlyList<string> publish)
    {
        PublishedPort[] ports = [.. publish.Select(ParsePort)];
        NetworkSettings? network = ParseNetwork(net ?? (ports.Length > 0 ? "user" : "none"));
        if (ports.Length == 0)
        {
            return network == null ? [] : [network];
        }

        return network?.Kind == NetworkKind.User
            ? [network with { PublishedPorts = ports }]
            : throw new LaminaException($"--publish needs --net user; with --net {net} the guest has no ports on this host.");
    }

    /// <summary>Parses a published port.</summary>
    /// <exception cref="LaminaException">It is none.</exception>
    internal static PublishedPort ParsePort(string text)
    {
        int slash = text.LastIndexOf('/');
        string protocol = slash < 0 ? "tcp" : text[(slash + 1)..];
        string ports = slash < 0 ? text : text[..slash];
        int guestColon = ports.LastIndexOf(':');
        int hostColon = guestColon <= 0 ? -1 : ports.LastIndexOf(':', guestColon - 1);
        string? address = hostColon < 0 ? null : ports[..hostColon].Trim('[', ']');
        bool valid = (protocol is "tcp" or "udp")
            & TryParsePort(guestColon < 0 ? "" : ports[(hostColon + 1)..guestColon], out ushort host)
            & TryParsePort(ports[(guestColon + 1)..], out ushort guest)
            & (address == null || IPAddress.TryParse(address, out _));
        return valid
            ? new PublishedPort(address, host, guest, protocol == "udp")
            : throw new LaminaException($"--publish '{text}' is not accepted. Write [ADDRESS:]HOSTPORT:GUESTPORT, and /udp behind it for UDP.");
    }

    private static bool TryParsePort(string text, out ushort port)
    {
        return ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out port) && port != 0;
    }

    private static NetworkSettings? ParseNetwork(string text)
    {
        string[] parts = text.Split(',');
        NetworkSettings? network = ParseKind(parts[0]);
        IoLimits limits = IoLimits.None;
        foreach (string part in parts.Skip(1))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            if (network != null && part.StartsWith("queues=", StringComparison.Ordinal))
            {
                network = network with { QueuePairs = ParseQueues(text, part[(equals + 1)..], network.Kind) };
            }
            else if (network == null || equals < 0 || !LimitArgument.TryRead($"--net '{text}'", "pps", part[..equals], part[(equals + 1)..], ref limits))
            {
                throw new LaminaException($"--net '{text}': '{part}' is not known. Accepted after a network: {string.Join(", ", Settings)}.{Suggestion.For(part, Settings)}");
            }
        }

        return network == null ? null : network with { Limits = limits };
    }

    private static int ParseQueues(string text, string number, NetworkKind kind)
    {
        if (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int queues) || queues is < 1 or > NetworkSettings.MaximumQueuePairs)
        {
            throw new LaminaException($"--net '{text}': a network card can have 1 to {NetworkSettings.MaximumQueuePairs} pairs of queues, not '{number}'.");
        }

        return queues == 1 || kind != NetworkKind.User
            ? queues
            : throw new LaminaException($"--net '{text}': user networking has one pair of queues, because its wire is one stream; tap=NAME and bridge=NAME can have several.");
    }

    private static NetworkSettings? ParseKind(string text)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        string kind = equals < 0 ? text : text[..equals];
        string? name = equals < 0 ? null : text[(equals + 1)..];
        bool named = name is { Length: > 0 and <= TapDevice.MaximumNameLength } && name.All(c => char.IsAscii(c) && !char.IsWhiteSpace(c) && c is not ('/' or '%' or ','));
        return (kind, name) switch
        {
            ("none", null) => null,
            ("user", null) => new NetworkSettings(),
            ("tap", _) when named => new NetworkSettings { Kind = NetworkKind.Tap, Name = name },
            ("bridge", _) when named => new NetworkSettings { Kind = NetworkKind.Bridge, Name = name },
            ("tap" or "bridge", _) => throw new LaminaException($"--net '{text}' does not name an interface: 1 to {TapDevice.MaximumNameLength} characters after '{kind}='."),
            _ => throw new LaminaException($"--net '{text}' is not known. Accepted: {string.Join(", ", Kinds)}.{Suggestion.For(text, Kinds)}"),
        };
    }
}
