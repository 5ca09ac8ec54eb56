using System.Globalization;
using Lamina.Personalities.HyperV.Integration;
using Lamina.Personalities.VMware.GuestRpc;

namespace Lamina.Vmm;

/// <summary>What a guest's system says of itself through its personality's services. Its words are shortened, and free of control characters, but not to be trusted otherwise.</summary>
/// <param name="IsAlive">Whether it answers its heartbeat; null if it has none.</param>
/// <param name="HostName">Its full name; null if it does not say.</param>
/// <param name="OperatingSystem">What it is and its kernel's version; null if it does not say.</param>
/// <param name="Addresses">Its network addresses.</param>
public sealed record GuestReport(bool? IsAlive, string? HostName, string? OperatingSystem, IReadOnlyList<string> Addresses)
{
    private const int LongestWord = 256;
    private const int MostAddresses = 64;

    /// <summary>Asks VMware's tools.</summary>
    internal static GuestReport Create(ToolsService tools)
    {
        return new GuestReport(tools.IsAlive, CleanName(tools.HostName), Clean(tools.OperatingSystem), Clean(tools.Address) is { } address ? [address] : []);
    }

    /// <summary>Asks Hyper-V's services.</summary>
    internal static GuestReport Create(IntegrationServices services)
    {
        string? system = Clean(services.KeyValues.Find("OSName"));
        string? version = Clean(services.KeyValues.Find("OSVersion"));
        string addresses = $"{services.KeyValues.Find("NetworkAddressIPv4")};{services.KeyValues.Find("NetworkAddressIPv6")}";
        return new GuestReport(
            services.Heartbeat.IsAlive,
            CleanName(services.KeyValues.Find("FullyQualifiedDomainName")),
            system is null || version is null ? system ?? version : $"{system}, kernel {version}",
            [.. addresses.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Take(MostAddresses).Select(static a => Clean(a)!)]);
    }

    // Daemons put other things there, too.
    private static string? CleanName(string? name) => name?.All(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-') == true ? Clean(name) : null;

    /// <summary>A word without what a terminal would act on: control characters, those that turn the direction of text or cannot be seen, and halves of pairs.</summary>
    internal static string? Clean(string? word)
    {
        if (string.IsNullOrWhiteSpace(word))
        {
            return null;
        }

        return string.Create(Math.Min(word.Length, LongestWord), word, static (characters, from) =>
        {
            for (int i = 0; i < characters.Length; i++)
            {
                bool isShown = char.GetUnicodeCategory(from[i]) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate
                    or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);
                characters[i] = isShown ? from[i] : '?';
            }
        });
    }
}
