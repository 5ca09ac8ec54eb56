namespace Lamina.Management.Protocol;

/// <summary>The codes of errors.</summary>
public static class ControlErrors
{
    /// <summary>The line is not a request: no JSON object, too deep, without a verb. The connection ends.</summary>
    public const string BadRequest = "bad-request";

    /// <summary>The line is longer than <see cref="ControlProtocol.MaximumLineLength"/>. The connection ends.</summary>
    public const string TooLong = "too-long";

    /// <summary>The request is of a newer version of the protocol.</summary>
    public const string UnsupportedVersion = "unsupported-version";

    /// <summary>There is no such verb.</summary>
    public const string UnknownVerb = "unknown-verb";

    /// <summary>The verb's arguments have a wrong type or value.</summary>
    public const string BadArguments = "bad-arguments";

    /// <summary>The machine cannot do that, for the reason in the message.</summary>
    public const string Refused = "refused";

    /// <summary>A mistake in the machine's program.</summary>
    public const string Internal = "internal";

    /// <summary>On the client's side only: nobody answers.</summary>
    public const string NoAnswer = "no-answer";
}
