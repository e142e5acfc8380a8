/**
 * The whole REST surface as one table. Fastify's routes, the dispatch of bundle entries and the CapabilityStatement are made from it,
 * so what is declared is what works. https://hl7.org/fhir/R4/http.html
 */
import { bundle } from './bundle.ts';
import { capabilities } from './capabilities.ts';
import { compartment } from './compartment.ts';
import { create } from './create.ts';
import { conditionalDelete, remove } from './delete.ts';
import { history } from './history.ts';
import type { Route } from './interaction.ts';
import { breakGlass } from './operations/break-glass.ts';
import { convert } from './operations/convert.ts';
import { disclosures } from './operations/disclosures.ts';
import { document } from './operations/document.ts';
import { everything } from './operations/everything.ts';
import { explainAccess } from './operations/explain-access.ts';
import { graphql } from './operations/graphql.ts';
import { jobCancel, jobStatus } from './job.ts';
import { endAuthority, grantAuthority } from './operations/authorities.ts';
import { recoverKey, revokeKey, rotateKey, stopRecovery } from './operations/keys.ts';
import { lastn } from './operations/lastn.ts';
import { meta, metaAdd, metaDelete, metaOfMany } from './operations/meta.ts';
import { prepare, requestConsent } from './operations/prepare.ts';
import { conditionalPatch, patch } from './patch.ts';
import { purge } from './operations/purge.ts';
import { ledgerProof, receipt } from './operations/receipt.ts';
import { reindex } from './operations/reindex.ts';
import { approve, sign } from './operations/sign.ts';
import { validate } from './operations/validate.ts';
import { refuse, withdraw } from './operations/withdraw.ts';
import { read } from './read.ts';
import { search } from './search.ts';
import { searchSystem } from './search-several.ts';
import { conditionalUpdate, update } from './update.ts';
import { vread } from './vread.ts';

// biome-ignore format: one row, one line
export const routes: readonly Route[] = [
  { interaction: 'capabilities',     method: 'GET',    path: '/metadata',                      scope: 'public', takes: 'nothing',  handler: capabilities },
  { interaction: 'transaction',      method: 'POST',   path: '/',                              scope: 'token',  takes: 'resource', handler: bundle },
  { interaction: 'search-system',    method: 'GET',    path: '/',                              scope: 'token',  takes: 'nothing',  handler: searchSystem },
  { interaction: 'search-system',    method: 'POST',   path: '/_search',                       scope: 'token',  takes: 'form',     handler: searchSystem },
  { interaction: 'search-type',      method: 'GET',    path: '/:type',                         scope: 's',      takes: 'nothing',  handler: search },
  { interaction: 'search-type',      method: 'POST',   path: '/:type/_search',                 scope: 's',      takes: 'form',     handler: search },
  { interaction: 'create',           method: 'POST',   path: '/:type',                         scope: 'c',      takes: 'resource', handler: create },
  { interaction: 'read',             method: 'GET',    path: '/:type/:id',                     scope: 'r',      takes: 'nothing',  handler: read },
  { interaction: 'update',           method: 'PUT',    path: '/:type/:id',                     scope: 'u',      takes: 'resource', handler: update },
  { interaction: 'delete',           method: 'DELETE', path: '/:type/:id',                     scope: 'd',      takes: 'nothing',  handler: remove },
  { interaction: 'update',           method: 'PUT',    path: '/:type',                         scope: 'u',      takes: 'resource', handler: conditionalUpdate },
  { interaction: 'patch',            method: 'PATCH',  path: '/:type/:id',                     scope: 'u',      takes: 'patch',    handler: patch },
  { interaction: 'patch',            method: 'PATCH',  path: '/:type',                         scope: 'u',      takes: 'patch',    handler: conditionalPatch },
  { interaction: 'delete',           method: 'DELETE', path: '/:type',                         scope: 'd',      takes: 'nothing',  handler: conditionalDelete },
  { interaction: 'history-instance', method: 'GET',    path: '/:type/:id/_history',            scope: 'r',      takes: 'nothing',  handler: history },
  { interaction: 'history-type',     method: 'GET',    path: '/:type/_history',                scope: 's',      takes: 'nothing',  handler: history },
  { interaction: 'history-system',   method: 'GET',    path: '/_history',                      scope: 'token',  takes: 'nothing',  handler: history },
  { interaction: 'vread',            method: 'GET',    path: '/:type/:id/_history/:version',   scope: 'r',      takes: 'nothing',  handler: vread },
  { interaction: 'search-compartment', method: 'GET',  path: '/:type/:id/:member',             scope: 'token',  takes: 'nothing',  handler: compartment },
  { interaction: 'search-compartment', method: 'POST', path: '/:type/:id/:member/_search',     scope: 'token',  takes: 'form',     handler: compartment },
  { interaction: 'search-compartment', method: 'POST', path: '/:type/:id/_search',             scope: 'token',  takes: 'form',     handler: compartment },
  { interaction: '$everything',      method: 'GET',    path: '/Patient/:id/$everything',       scope: 'r',      takes: 'nothing',  handler: everything },
  { interaction: '$everything',      method: 'POST',   path: '/Patient/:id/$everything',       scope: 'r',      takes: 'resource', handler: everything },
  { interaction: '$everything',      method: 'GET',    path: '/Encounter/:id/$everything',     scope: 'r',      takes: 'nothing',  handler: everything },
  { interaction: '$everything',      method: 'POST',   path: '/Encounter/:id/$everything',     scope: 'r',      takes: 'resource', handler: everything },
  { interaction: '$validate',        method: 'POST',   path: '/:type/$validate',               scope: 'token',  takes: 'resource', handler: validate },
  { interaction: '$validate',        method: 'POST',   path: '/:type/:id/$validate',           scope: 'token',  takes: 'resource', handler: validate },
  { interaction: '$validate',        method: 'GET',    path: '/:type/:id/$validate',           scope: 'r',      takes: 'nothing',  handler: validate },
  { interaction: '$convert',         method: 'POST',   path: '/$convert',                      scope: 'token',  takes: 'resource', handler: convert },
  { interaction: '$document',        method: 'GET',    path: '/Composition/:id/$document',     scope: 'r',      takes: 'nothing',  handler: document },
  { interaction: '$document',        method: 'POST',   path: '/Composition/:id/$document',     scope: 'r',      takes: 'resource', handler: document },
  { interaction: '$graphql',         method: 'GET',    path: '/$graphql',                      scope: 'token',  takes: 'nothing',  handler: graphql },
  { interaction: '$graphql',         method: 'POST',   path: '/$graphql',                      scope: 'token',  takes: 'graphql',  handler: graphql },
  { interaction: '$graphql',         method: 'GET',    path: '/:type/:id/$graphql',            scope: 'r',      takes: 'nothing',  handler: graphql },
  { interaction: '$graphql',         method: 'POST',   path: '/:type/:id/$graphql',            scope: 'r',      takes: 'graphql',  handler: graphql },
  { interaction: 'job-status',       method: 'GET',    path: '/$job/:id',                      scope: 'token',  takes: 'nothing',  handler: jobStatus },
  { interaction: 'job-cancel',       method: 'DELETE', path: '/$job/:id',                      scope: 'token',  takes: 'nothing',  handler: jobCancel },
  { interaction: '$purge',           method: 'POST',   path: '/:type/:id/$purge',              scope: 'd',      takes: 'resource', handler: purge },
  { interaction: '$reindex',         method: 'POST',   path: '/$reindex',                      scope: 'token',  takes: 'resource', handler: reindex },
  { interaction: '$reindex',         method: 'POST',   path: '/:type/$reindex',                scope: 'token',  takes: 'resource', handler: reindex },
  { interaction: '$lastn',           method: 'GET',    path: '/Observation/$lastn',            scope: 's',      takes: 'nothing',  handler: lastn },
  { interaction: '$lastn',           method: 'POST',   path: '/Observation/$lastn',            scope: 's',      takes: 'resource', handler: lastn },
  { interaction: '$meta',            method: 'GET',    path: '/:type/:id/$meta',              scope: 'r',      takes: 'nothing',  handler: meta },
  { interaction: '$meta',            method: 'POST',   path: '/:type/:id/$meta',              scope: 'r',      takes: 'resource', handler: meta },
  { interaction: '$meta',            method: 'GET',    path: '/:type/:id/_history/:version/$meta', scope: 'r',      takes: 'nothing',  handler: meta },
  { interaction: '$meta',            method: 'GET',    path: '/:type/$meta',                  scope: 's',      takes: 'nothing',  handler: metaOfMany },
  { interaction: '$meta',            method: 'POST',   path: '/:type/$meta',                  scope: 's',      takes: 'resource', handler: metaOfMany },
  { interaction: '$meta',            method: 'GET',    path: '/$meta',                        scope: 'token',  takes: 'nothing',  handler: metaOfMany },
  { interaction: '$meta',            method: 'POST',   path: '/$meta',                        scope: 'token',  takes: 'resource', handler: metaOfMany },
  { interaction: '$meta-add',        method: 'POST',   path: '/:type/:id/$meta-add',          scope: 'u',      takes: 'resource', handler: metaAdd },
  { interaction: '$meta-delete',     method: 'POST',   path: '/:type/:id/$meta-delete',       scope: 'u',      takes: 'resource', handler: metaDelete },
  { interaction: '$disclosures',     method: 'GET',    path: '/Patient/:id/$disclosures',      scope: 'r',      takes: 'nothing',  handler: disclosures },
  { interaction: '$disclosures',     method: 'POST',   path: '/Patient/:id/$disclosures',      scope: 'r',      takes: 'resource', handler: disclosures },
  { interaction: '$explain-access',  method: 'GET',    path: '/:type/:id/$explain-access',     scope: 'r',      takes: 'nothing',  handler: explainAccess },
  { interaction: '$explain-access',  method: 'POST',   path: '/:type/:id/$explain-access',     scope: 'r',      takes: 'resource', handler: explainAccess },
  { interaction: '$prepare',         method: 'POST',   path: '/Consent/$prepare',              scope: 'token',  takes: 'resource', handler: prepare },
  { interaction: '$sign',            method: 'POST',   path: '/Consent/$sign',                 scope: 'token',  takes: 'resource', handler: sign },
  { interaction: '$withdraw',        method: 'POST',   path: '/Consent/:id/$withdraw',         scope: 'token',  takes: 'resource', handler: withdraw },
  { interaction: '$request',         method: 'POST',   path: '/Consent/$request',              scope: 'token',  takes: 'resource', handler: requestConsent },
  { interaction: '$approve',         method: 'POST',   path: '/Consent/:id/$approve',          scope: 'token',  takes: 'resource', handler: approve },
  { interaction: '$refuse',          method: 'POST',   path: '/Consent/:id/$refuse',           scope: 'token',  takes: 'resource', handler: refuse },
  { interaction: '$break-glass',     method: 'POST',   path: '/Patient/:id/$break-glass',      scope: 'r',      takes: 'resource', handler: breakGlass },
  { interaction: '$rotate-key',      method: 'POST',   path: '/$rotate-key',                  scope: 'token',  takes: 'resource', handler: rotateKey },
  { interaction: '$revoke-key',      method: 'POST',   path: '/$revoke-key',                  scope: 'token',  takes: 'resource', handler: revokeKey },
  { interaction: '$recover-key',     method: 'POST',   path: '/$recover-key',                 scope: 'token',  takes: 'resource', handler: recoverKey },
  { interaction: '$stop-recovery',   method: 'POST',   path: '/$stop-recovery',               scope: 'token',  takes: 'resource', handler: stopRecovery },
  { interaction: '$grant-authority', method: 'POST',   path: '/$grant-authority',             scope: 'token',  takes: 'resource', handler: grantAuthority },
  { interaction: '$end-authority',   method: 'POST',   path: '/$end-authority',               scope: 'token',  takes: 'resource', handler: endAuthority },
  { interaction: '$receipt',         method: 'GET',    path: '/Consent/:id/$receipt',          scope: 'r',      takes: 'nothing',  handler: receipt },
  { interaction: '$receipt',         method: 'GET',    path: '/AuditEvent/:id/$receipt',       scope: 'token',  takes: 'nothing',  handler: receipt },
  { interaction: '$ledger-proof',    method: 'GET',    path: '/Consent/:id/$ledger-proof',     scope: 'r',      takes: 'nothing',  handler: ledgerProof },
];
