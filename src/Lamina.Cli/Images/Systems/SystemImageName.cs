using Lamina.Cli.Arguments;

namespace Lamina.Cli.Images.Systems;

/// <summary>The name of an image with a whole system on a disk: a distribution, and perhaps one of its releases after a colon.</summary>
/// <param name="Suite">The release, as the distribution's archive calls it.</param>
/// <param name="IsDefault">Whether the name leaves the release out.</param>
internal readonly record struct SystemImageName(string Suite, bool IsDefault)
{
    /// <summary>The release that a name without one stands for.</summary>
    public const string DefaultSuite = "bookworm";

    private const string Distribution = "debian";

    /// <inheritdoc/>
    public override string ToString() => IsDefault ? Distribution : $"{Distribution}:{Suite}";

    /// <summary>The directory that holds it.</summary>
    public string DirectoryName => IsDefault ? Distribution : $"{Distribution}-{Suite}";

    /// <summary>Understands a name, if it is one.</summary>
    public static bool TryParse(string text, out SystemImageName name)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string suite = colon < 0 ? DefaultSuite : text[(colon + 1)..];
        name = new SystemImageName(suite, colon < 0);
        return (colon < 0 ? text : text[..colon]) == Distribution
            && suite.Length is > 0 and <= 40 && char.IsAsciiLetterLower(suite[0]) && suite.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-');
    }

    /// <summary>Understands a name.</summary>
    /// <exception cref="LaminaException">It is none.</exception>
    public static SystemImageName Parse(string text)
    {
        return TryParse(text, out SystemImageName name)
            ? name
            : throw new LaminaException($"'{text}' is no image that can be built. Write debian, or debian:SUITE such as debian:trixie.{Suggestion.For(text, [Distribution])}");
    }
}
